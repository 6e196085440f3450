{#
    The bucket of a unit of experiments, 0 to 9999: the arithmetic of `recsys_platform/experiments/buckets.py`. Both arguments are
    expressions of text.

    Digits of MD5 by their position, because the engines have no function in common that reads hexadecimal numbers.
#}
{% macro experiment_bucket(salt, unit) -%}
    {%- set digest = "md5(" ~ salt ~ " || ':' || " ~ unit ~ ")" -%}
    mod(
        {%- for place in range(8) %}
        (position(substr({{ digest }}, {{ place + 1 }}, 1) in '0123456789abcdef') - 1) * {{ 16 ** (7 - place) % 10000 }}
        {%- if not loop.last %} +{% endif %}
        {%- endfor %},
        10000
    )
{%- endmacro %}


{#
    A query of the units that an experiment has now, with their variants (`unit`, `variant`). `units`: a relation with a column
    `unit`. Left out are units outside the experiment and those of the holdout; the audience is not asked.
#}
{% macro experiment_variants(experiment, units) -%}
    select
        dealt.unit,
        ranges.variant
    from (
        select
            units.unit,
            {{ experiment_bucket('salts.salt', 'units.unit') }} as bucket,
            {{ experiment_bucket('salts.holdout_salt', 'units.unit') }} as holdout_bucket
        from {{ units }} as units
        cross join (
            select
                max(case when experiment = '{{ experiment }}' then salt end) as salt,
                max(case when experiment = 'holdout' then salt end) as holdout_salt
            from ops.experiment_ranges
            where valid_to is null
        ) as salts
    ) as dealt
    inner join ops.experiment_ranges as ranges
        on dealt.bucket between ranges.first_bucket and ranges.last_bucket
    left join ops.experiment_ranges as held_out
        on dealt.holdout_bucket between held_out.first_bucket and held_out.last_bucket
        and held_out.experiment = 'holdout'
        and held_out.valid_to is null
    where ranges.experiment = '{{ experiment }}'
        and ranges.valid_to is null
        and held_out.experiment is null
{%- endmacro %}
