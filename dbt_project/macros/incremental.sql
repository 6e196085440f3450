{#
    How incremental models know what is new, and when they must be rebuilt whole.

    Every load transaction carries one `loaded_at`, later than that of any load before it: rows of one load are seen all
    together or not at all. Staging takes up what was loaded after the newest row it holds. A model below staging has no
    such row (a load may hold nothing for it), so `ops.model_builds` says up to which load it was built.
#}

{# A predicate of staging models: rows loaded since the model was last built; `true` on a first build or full refresh. #}
{% macro newly_loaded(column='loaded_at') -%}
    {%- if is_incremental() -%}
        {{ column }} > (select coalesce(max({{ column }}), cast('1970-01-01' as timestamp)) from {{ this }})
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}


{# The load (a timestamp) up to which a model was built, this one unless named; 1970 if it never was. #}
{% macro built_to(model_name=none) -%}
    cast('{{ build_of(model_name or model.name).loaded_to }}' as timestamp)
{%- endmacro %}


{# What `ops.model_builds` holds of a model: `fingerprint` and `loaded_to`, as texts. #}
{% macro build_of(model_name) -%}
    {%- set found = run_query(
        "select fingerprint, cast(loaded_to as varchar) as loaded_to from ops.model_builds where model = '"
        ~ model_name ~ "'"
    ) if execute -%}
    {%- if found and found.rows | length -%}
        {{ return({'fingerprint': found.rows[0][0], 'loaded_to': found.rows[0][1]}) }}
    {%- endif -%}
    {{ return({'fingerprint': none, 'loaded_to': '1970-01-01 00:00:00'}) }}
{%- endmacro %}


{#
    Post-hooks of incremental models: what the model was made from and up to which load, in its own transaction. Staging
    and the deliveries read what is loaded; those below are as new as the deliveries that they read.
#}
{% macro forget_build() -%}
    {%- if model.config.materialized == 'incremental' -%}
        delete from ops.model_builds where model = '{{ model.name }}'
    {%- endif -%}
{%- endmacro %}


{% macro remember_build() -%}
    {%- if model.config.materialized == 'incremental' -%}
        {%- set reads_loads = model.name.startswith('stg_') or model.name == 'int_event_deliveries' -%}
        insert into ops.model_builds (model, fingerprint, loaded_to)
        select
            '{{ model.name }}',
            '{{ code_fingerprint() }}',
            {% if reads_loads -%}
            coalesce(max(loaded_at), cast('1970-01-01' as timestamp))
        from {{ this }}
            {%- else -%}
            {{ built_to('int_event_deliveries') }}
            {%- endif %}
    {%- endif -%}
{%- endmacro %}


{# A hash of the model's code and of all models and seeds above it, and of the project's variables. #}
{% macro code_fingerprint() -%}
    {%- set seen, parts = [], [] -%}
    {%- do add_ancestors(model.unique_id, seen) if execute -%}
    {%- for name in ['session_silence_minutes', 'clock_ahead_hours', 'human_events_a_minute'] -%}
        {%- do parts.append(var(name) | string) -%}
    {%- endfor -%}
    {%- for unique_id in seen | sort -%}
        {%- do parts.append(unique_id ~ ' ' ~ graph.nodes[unique_id].checksum.checksum) -%}
    {%- endfor -%}
    {{ return(local_md5(parts | join('\n'))) }}
{%- endmacro %}


{% macro add_ancestors(unique_id, seen) -%}
    {%- if unique_id in graph.nodes and unique_id not in seen -%}
        {%- do seen.append(unique_id) -%}
        {%- for parent in graph.nodes[unique_id].depends_on.nodes or [] -%}
            {%- do add_ancestors(parent, seen) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}


{#
    In place of dbt's own: an incremental model is also rebuilt whole when its code, or code or a seed above it, is not
    what its rows were made with. So a name added to a seed renames the past too, and no table mixes two versions.
#}
{% macro should_full_refresh() -%}
    {%- set asked = config.get('full_refresh') -%}
    {%- if asked is none -%}
        {%- set asked = flags.FULL_REFRESH -%}
    {%- endif -%}
    {%- if asked or not execute or model.config.materialized != 'incremental' -%}
        {{ return(asked) }}
    {%- endif -%}
    {{ return(build_of(model.name).fingerprint != code_fingerprint()) }}
{%- endmacro %}


{#
    A pre-hook: deletes the rows for keys that events were taken from, and none came to, since the model was built. What
    is left of them is made again in the same build; a build that dies in between finds it still to be made.
#}
{% macro drop_retired(keys) -%}
    {%- if is_incremental() -%}
        {%- set changed = 'select ' ~ keys | join(', ') ~ ' from ' ~ ref('int_event_sessions') -%}
        delete from {{ this }}
        where ({{ keys | join(', ') }}) in (
            {{ changed }}
            where not is_current
                and changed_to > {{ built_to() }}
            except
            {{ changed }}
            where is_current
                and changed_to > {{ built_to() }}
        )
    {%- endif -%}
{%- endmacro %}


{# The oldest day (a date) that events changed since the model was built have in a column of `int_event_sessions`. #}
{% macro oldest_change(column) -%}
    {%- set found = run_query(
        "select cast(min(" ~ column ~ ") as varchar) from " ~ ref('int_event_sessions')
        ~ " where is_current and changed_to > " ~ built_to()
    ) if execute -%}
    cast('{{ (found.rows[0][0] if found else none) or '9999-12-31' }}' as date)
{%- endmacro %}
