{#
    When incremental models are rebuilt whole. No macro of this file affects a row of a model, so a change of this file causes
    no rebuild.
#}

{#
    The post-hook of incremental models and seeds: records the fingerprint of the code and the load up to which the model was
    built, in one atomic statement.

    On DuckDB it is part of the model's transaction. On Snowflake dbt commits the model first, so an aborted build may leave a
    model newer than its record. The next build repairs this: it reads the same loads again, and rows replace those with the
    same key; staging of events, which only appends, compares with its own rows; and a model without a record, or with the
    record of other code, is rebuilt whole.
#}
{% macro remember_build() -%}
    {%- if model.config.materialized in ['incremental', 'seed'] -%}
        {%- set is_seed = model.config.materialized == 'seed' -%}
        merge into ops.model_builds as builds
        using (
            select
                '{{ model.name }}' as model,
                '{{ model.checksum.checksum if is_seed else code_fingerprint() }}' as fingerprint,
                {{ loaded_to_now() }} as loaded_to
        ) as build
            on builds.model = build.model
        when matched then update set fingerprint = build.fingerprint, loaded_to = build.loaded_to
        when not matched then insert (model, fingerprint, loaded_to)
            values (build.model, build.fingerprint, build.loaded_to)
    {%- endif -%}
{%- endmacro %}


{#
    Overrides dbt's macro: an incremental model is also rebuilt whole when its code, or the code or a seed upstream, has changed
    since its rows were written. A name added to a seed thus applies to old events too, and no table mixes two versions.
#}
{% macro should_full_refresh() -%}
    {%- set asked = config.get('full_refresh') -%}
    {%- if asked is none -%}
        {%- set asked = flags.FULL_REFRESH -%}
    {%- endif -%}
    {%- if asked or not execute or model.config.materialized != 'incremental' -%}
        {{ return(asked) }}
    {%- endif -%}
    {%- set made_with = build_of(model.name).fingerprint -%}
    {%- if made_with == code_fingerprint() -%}
        {{ return(false) }}
    {%- endif -%}
    {#- Without a record this is a first build, or completes a rebuild that was aborted. -#}
    {%- if made_with is not none -%}
        {{ refuse_if_large() }}
    {%- endif -%}
    {{ return(true) }}
{%- endmacro %}


{# Raises an error if a model with more rows than `RECSYS_REBUILD_UP_TO_ROWS` would be rebuilt without being asked to. #}
{% macro refuse_if_large() -%}
    {%- set most = env_var('RECSYS_REBUILD_UP_TO_ROWS', '5000000') | int -%}
    {%- set rows = rows_of_this() -%}
    {%- if rows > most -%}
        {{ exceptions.raise_compiler_error(
            model.name ~ " has " ~ "{:,}".format(rows) ~ " rows, and its code, or code or a seed above it, has changed since they"
            ~ " were made. More than " ~ "{:,}".format(most) ~ " (RECSYS_REBUILD_UP_TO_ROWS) are made anew only when asked for:"
            ~ " `recsys run --all`, or `dbt build --full-refresh`."
        ) }}
    {%- endif -%}
{%- endmacro %}


{# Number of rows of this model's table; 0 if it does not exist. #}
{% macro rows_of_this() -%}
    {%- set there = adapter.get_relation(this.database, this.schema, this.identifier) -%}
    {{ return((run_query('select count(*) from ' ~ there).rows[0][0] if there else 0) | int) }}
{%- endmacro %}


{#
    A hash of what determines the model's rows: the code of the model and of all models upstream, seeds upstream, the macros
    and the variables that they use.
#}
{% macro code_fingerprint() -%}
    {#- `is_incremental()` asks each time: while a node runs, what was found is kept in its context. -#}
    {%- if '_code_fingerprint' not in context -%}
        {%- do context.update({'_code_fingerprint': local_md5(code_parts() | join('\n'))}) -%}
    {%- endif -%}
    {{ return(context['_code_fingerprint']) }}
{%- endmacro %}


{# The texts that `code_fingerprint` is a hash of. #}
{% macro code_parts() -%}
    {%- set nodes, macros, parts = [], {}, [] -%}
    {%- do add_ancestors(model.unique_id, nodes) if execute -%}
    {%- for unique_id in nodes | sort -%}
        {%- set node = graph.nodes[unique_id] -%}
        {%- if node.resource_type == 'seed' -%}
            {#- The seed as it was loaded, not its file. -#}
            {%- do parts.append(unique_id ~ ' ' ~ build_of(node.name).fingerprint) -%}
        {%- else -%}
            {%- set code = without_comments(node.raw_code) -%}
            {%- do parts.append(unique_id ~ ' ' ~ code) -%}
            {%- do add_macros(node.depends_on.macros + macros_called(code), macros) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- for unique_id in macros | sort -%}
        {%- do parts.append(unique_id ~ ' ' ~ macros[unique_id]) -%}
    {%- endfor -%}
    {%- for name in modules.re.findall("\\bvar *[(] *['\"] *([A-Za-z0-9_]+)", parts | join('\n')) | unique | sort -%}
        {%- do parts.append(name ~ '=' ~ var(name)) -%}
    {%- endfor -%}
    {{ return(parts) }}
{%- endmacro %}


{# The ids of this project's macros that code calls. dbt's own list lacks those behind `is_incremental()`, false when it parses. #}
{% macro macros_called(code) -%}
    {%- set found = [] -%}
    {%- for name in modules.re.findall('\\b([A-Za-z_][A-Za-z0-9_]*) *[(]', code) if name in context['recsys'] -%}
        {%- do found.append('macro.recsys.' ~ name) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{# Adds the id of a node, and those of all models and seeds upstream, to a list. #}
{% macro add_ancestors(unique_id, seen) -%}
    {%- if unique_id in graph.nodes and unique_id not in seen -%}
        {%- do seen.append(unique_id) -%}
        {%- for parent in graph.nodes[unique_id].depends_on.nodes or [] -%}
            {%- do add_ancestors(parent, seen) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}


{#
    Adds the code of macros of this project, and of the macros that they use, to a mapping by id. Excludes this file and dbt's
    own macros: a newer dbt causes no rebuild.
#}
{% macro add_macros(unique_ids, seen) -%}
    {%- for unique_id in unique_ids if unique_id.startswith('macro.recsys.') and unique_id not in seen -%}
        {%- set macro = context['recsys'][unique_id.split('.')[2]].macro -%}
        {%- if not macro.original_file_path.endswith('rebuilding.sql') -%}
            {%- do seen.update({unique_id: without_comments(macro.macro_sql)}) -%}
            {%- do add_macros(macro.depends_on.macros, seen) -%}
        {%- endif -%}
    {%- endfor -%}
{%- endmacro %}


{#
    Code as tokens with one blank between them, without comments, so that changes of layout and comments do not count. Strings are
    kept unchanged, and so are comments with Jinja in them, which dbt renders. Code with escaped or dollar quotes is returned
    as it is, since this macro cannot tell where its strings end.
#}
{% macro without_comments(code) -%}
    {%- if "\\'" in code or '\\"' in code or '$$' in code -%}
        {{ return(code) }}
    {%- endif -%}
    {#- One expression that finds what is kept, since Jinja takes its time for each word: what does not count is no part of the group. -#}
    {%- set skipped = '[{]#(?:.|\n)*?#[}]|--(?![^\n]*[{][{%])[^\n]*|/[*](?:(?![*]/|[{][{%])(?:.|\n))*[*]/|\\s+' -%}
    {%- set kept = "--[^\n]*|/[*](?:.|\n)*?[*]/|'[^']*'|" ~ '"[^"]*"|[A-Za-z0-9_]+|.' -%}
    {{ return(modules.re.findall(skipped ~ '|(' ~ kept ~ ')', code) | select | join(' ')) }}
{%- endmacro %}
