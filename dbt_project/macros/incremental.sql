{#
    Which rows are new to an incremental model. When a model is rebuilt whole: rebuilding.sql.

    All rows of a load have the same `loaded_at`, later than that of every earlier load. Staging reads what was loaded after
    its own newest row. A model downstream of staging may have no row of a load, so `ops.model_builds` records the load up to
    which it was built.
#}

{#
    A predicate of staging models: rows loaded since the model was last built; `true` on a first build or full refresh.

    The newest load is fetched first: Snowflake reads a whole table if the bound of a column is a subquery.
#}
{% macro newly_loaded(column='loaded_at') -%}
    {%- if is_incremental() -%}
        {%- set found = run_query("select " ~ timestamp_as_text("max(" ~ column ~ ")") ~ " from " ~ this) if execute -%}
        {%- set newest = found.rows[0][0] if found else none -%}
        {{ column }} > cast('{{ newest or '1970-01-01 00:00:00' }}' as timestamp)
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}


{# The load (a timestamp) up to which a model was built, this one unless named; 1970 if it never was. #}
{% macro built_to(model_name=none) -%}
    cast('{{ build_of(model_name or model.name).loaded_to }}' as timestamp)
{%- endmacro %}


{#
    What `ops.model_builds` holds of a model: `fingerprint` and `loaded_to`, as texts.

    While a node runs, no build of this model or of one upstream is recorded, so all of the table is read once and kept in the
    node's context.
#}
{% macro build_of(model_name) -%}
    {%- if '_model_builds' not in context -%}
        {%- set found, builds = run_query(
            "select model, fingerprint, " ~ timestamp_as_text('loaded_to') ~ " as loaded_to from ops.model_builds"
        ) if execute else none, {} -%}
        {%- for row in (found.rows if found else []) -%}
            {%- do builds.update({row[0]: {'fingerprint': row[1], 'loaded_to': row[2]}}) -%}
        {%- endfor -%}
        {%- do context.update({'_model_builds': builds}) -%}
    {%- endif -%}
    {{ return(context['_model_builds'].get(model_name, {'fingerprint': none, 'loaded_to': '1970-01-01 00:00:00'})) }}
{%- endmacro %}


{#
    The models whose builds determine up to which load a model can be built: the oldest build of them. After a partial or
    aborted build some of them are behind until they are built too.
#}
{% macro news_from(model_name) -%}
    {{ return({
        'int_event_deliveries': ['stg_segment__events', 'stg_pinpoint__events', 'stg_matomo__events'],
        'int_event_sessions': ['int_event_deliveries'],
        'int_recommendation_items': ['stg_segment__events', 'stg_pinpoint__events', 'stg_matomo__events'],
        'rpt_invalid_events': ['int_event_deliveries'],
        'fct_answer_counts': ['int_event_deliveries'],
        'fct_events': ['int_event_sessions'],
        'fct_sessions': ['fct_events'],
        'int_visitor_days': ['fct_events'],
        'fct_interactions': ['fct_events'],
        'fct_exposures': ['fct_events', 'int_recommendation_items'],
        'fct_recommendation_requests': ['fct_events', 'int_recommendation_items', 'fct_exposures'],
        'rpt_unmatched_responses': ['fct_events', 'int_recommendation_items', 'fct_exposures'],
        'fct_experiment_assignments': ['fct_recommendation_requests', 'fct_sessions', 'int_visitor_days'],
        'fct_experiment_metrics': ['fct_events', 'fct_recommendation_requests', 'fct_experiment_assignments'],
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


{# A predicate of models downstream of staging: loaded since the model was last built, up to `news_to`. #}
{% macro arrived_since(column) -%}
    {#- A unit test has no name here: it reads all rows. -#}
    {{ column ~ ' <= ' ~ news_to(model.name) if news_from(model.name) else 'true' }}
    {%- if is_incremental() %}
        and {{ column }} > {{ built_to() }}
    {%- endif -%}
{%- endmacro %}


{# The load (a timestamp) up to which this model is built by now; 1970 for a seed, which no load changes. #}
{% macro loaded_to_now() -%}
    {%- if model.config.materialized == 'seed' -%}
        cast('1970-01-01' as timestamp)
    {%- elif model.name.startswith('stg_attributes__') -%}
        {{ newest_staged() }}
    {%- elif model.name.startswith('stg_') -%}
        {{ staged_to() }}
    {%- else -%}
        {{ news_to(model.name) }}
    {%- endif -%}
{%- endmacro %}


{# The newest load in the ledger; if a load of this tracker came in after staging had read, the newest that it holds. #}
{% macro staged_to() -%}
    {%- set tracker = model.name.removeprefix('stg_').removesuffix('__events') -%}
    case
                    when exists (
                        select 1 from raw.engagement_events
                        where source = '{{ tracker }}' and loaded_at > {{ newest_staged() }}
                    ) then {{ newest_staged() }}
                    else coalesce((select max(loaded_at) from ops.load_ledger), cast('1970-01-01' as timestamp))
                end
{%- endmacro %}


{# The newest load that this staging model holds rows of; 1970 if it is empty. #}
{% macro newest_staged() -%}
    coalesce((select max(loaded_at) from {{ this }}), cast('1970-01-01' as timestamp))
{%- endmacro %}


{# The models that find in `int_event_sessions` which of their rows to update. #}
{% macro readers_of_the_journal() -%}
    {{ return([
        'fct_events', 'fct_sessions', 'int_visitor_days', 'fct_interactions', 'fct_exposures',
        'fct_recommendation_requests', 'rpt_unmatched_responses', 'fct_experiment_assignments', 'fct_experiment_metrics',
    ]) }}
{%- endmacro %}


{#
    A pre-hook of a model that is rebuilt whole: the models that follow its changes are then rebuilt whole too, by a later
    build if this one is aborted. Otherwise they would miss the changes that they had not read yet.
#}
{% macro forget_builds(models) -%}
    {%- if not is_incremental() -%}
        delete from ops.model_builds where model in ('{{ models | join("', '") }}')
    {%- endif -%}
{%- endmacro %}


{#
    Raises an error on a full refresh of this model without the models that follow its changes: they would miss the changes
    that they had not read yet.
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


{#
    A pre-hook: deletes the rows for keys that lost events, and got none, since the model was built. The same build inserts
    the rows that remain; after an aborted build the next one does.
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


{#
    A pre-hook: deletes the rows for keys of events that changed since the model was built, since a key may have no row any
    more. The same build inserts the rows that remain, as after `drop_retired`.
#}
{% macro drop_changed(keys) -%}
    {%- if is_incremental() -%}
        delete from {{ this }}
        where ({{ keys | join(', ') }}) in (
            select {{ keys | join(', ') }}
            from {{ ref('int_event_sessions') }}
            where changed_to > {{ built_to() }}
        )
    {%- endif -%}
{%- endmacro %}


{# A pre-hook: deletes the rows of events of which an earlier delivery was loaded since the model was built: that one counts now. #}
{% macro drop_superseded() -%}
    {%- if is_incremental() -%}
        delete from {{ this }}
        where event_id in (
            select event_id
            from {{ ref('int_event_deliveries') }}
            where is_superseding
                and loaded_at > {{ built_to() }}
        )
    {%- endif -%}
{%- endmacro %}


{# The oldest day (a date) in a column of `int_event_sessions`, of the events that changed since the model was built. #}
{% macro oldest_change(column) -%}
    {%- set found = run_query(
        "select cast(min(" ~ column ~ ") as varchar) from " ~ ref('int_event_sessions')
        ~ " where changed_to > " ~ built_to()
    ) if execute -%}
    cast('{{ (found.rows[0][0] if found else none) or '9999-12-31' }}' as date)
{%- endmacro %}
