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
        "select fingerprint, " ~ timestamp_as_text('loaded_to') ~ " as loaded_to from ops.model_builds where model = '"
        ~ model_name ~ "'"
    ) if execute -%}
    {%- if found and found.rows | length -%}
        {{ return({'fingerprint': found.rows[0][0], 'loaded_to': found.rows[0][1]}) }}
    {%- endif -%}
    {{ return({'fingerprint': none, 'loaded_to': '1970-01-01 00:00:00'}) }}
{%- endmacro %}


{#
    The models whose builds a model takes its news from. It is as new as the oldest of them, whichever were built: a build
    of some models only, or one that died, leaves the others behind until they are built too.
#}
{% macro news_from(model_name) -%}
    {{ return({
        'int_event_deliveries': ['stg_segment__events', 'stg_pinpoint__events', 'stg_matomo__events'],
        'int_event_sessions': ['int_event_deliveries'],
        'rpt_invalid_events': ['int_event_deliveries'],
        'fct_events': ['int_event_sessions'],
        'fct_sessions': ['fct_events'],
        'int_visitor_days': ['fct_events'],
        'fct_interactions': ['fct_events'],
    }.get(model_name, [])) }}
{%- endmacro %}


{# The newest load (a timestamp) that all of these were built to. #}
{% macro news_to(model_name) -%}
    {%- set loads = [] -%}
    {%- for parent in news_from(model_name) -%}
        {%- do loads.append(build_of(parent).loaded_to) -%}
    {%- endfor -%}
    cast('{{ loads | min }}' as timestamp)
{%- endmacro %}


{# A predicate of models below staging: loaded since the model was last built, and not more than there is news of. #}
{% macro arrived_since(column) -%}
    {#- A unit test is no model: it gives all that there is. -#}
    {{ column ~ ' <= ' ~ news_to(model.name) if news_from(model.name) else 'true' }}
    {%- if is_incremental() %}
        and {{ column }} > {{ built_to() }}
    {%- endif -%}
{%- endmacro %}


{#
    Post-hooks of incremental models and seeds: what they were made from and up to which load, on DuckDB in their own
    transaction. On Snowflake each commits by itself: a build that dies before them does its last loads again (rows that
    changed since `built_to` are superseded like any others), one that dies between them is made anew.

    Staging is built to the newest load in the ledger, unless a load of its tracker came in after it had read.
#}
{% macro forget_build() -%}
    {%- if model.config.materialized in ['incremental', 'seed'] -%}
        delete from ops.model_builds where model = '{{ model.name }}'
    {%- endif -%}
{%- endmacro %}


{% macro remember_build() -%}
    {%- if model.config.materialized == 'seed' -%}
        insert into ops.model_builds (model, fingerprint, loaded_to)
        values ('{{ model.name }}', '{{ model.checksum.checksum }}', cast('1970-01-01' as timestamp))
    {%- elif model.config.materialized == 'incremental' -%}
        insert into ops.model_builds (model, fingerprint, loaded_to)
        select
            '{{ model.name }}',
            '{{ code_fingerprint() }}',
            {% if model.name.startswith('stg_attributes__') -%}
            coalesce(max(loaded_at), cast('1970-01-01' as timestamp))
        from {{ this }}
            {%- elif model.name.startswith('stg_') -%}
            {{ staged_to() }}
            {%- else -%}
            {{ news_to(model.name) }}
            {%- endif %}
    {%- endif -%}
{%- endmacro %}


{% macro staged_to() -%}
    {%- set tracker = model.name.removeprefix('stg_').removesuffix('__events') -%}
    {%- set newest = "coalesce((select max(loaded_at) from " ~ this ~ "), cast('1970-01-01' as timestamp))" -%}
    case
                when exists (
                    select 1 from raw.engagement_events
                    where source = '{{ tracker }}' and loaded_at > {{ newest }}
                ) then {{ newest }}
                else coalesce((select max(loaded_at) from ops.load_ledger), cast('1970-01-01' as timestamp))
            end
{%- endmacro %}


{#
    Refuses a full refresh of this model without the models that follow its changes: they would not hear of what was
    forgotten with it.
#}
{% macro requires_selected(names) -%}
    {%- if execute and flags.FULL_REFRESH and selected_resources is defined and model.unique_id in selected_resources -%}
        {%- for name in names if 'model.recsys.' ~ name not in selected_resources -%}
            {{ exceptions.raise_compiler_error(
                model.name ~ " cannot be rebuilt without " ~ name ~ ", which follows its changes: select "
                ~ model.name ~ "+ as well."
            ) }}
        {%- endfor -%}
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
        {%- set node = graph.nodes[unique_id] -%}
        {#- Of a seed what was loaded counts, not what the file says by now. -#}
        {%- set sum = build_of(node.name).fingerprint if node.resource_type == 'seed' else node.checksum.checksum -%}
        {%- do parts.append(unique_id ~ ' ' ~ sum) -%}
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
        ~ " where changed_to > " ~ built_to()
    ) if execute -%}
    cast('{{ (found.rows[0][0] if found else none) or '9999-12-31' }}' as date)
{%- endmacro %}
