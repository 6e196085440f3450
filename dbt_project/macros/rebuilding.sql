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


{#
    The texts that `code_fingerprint` is a hash of. Excludes the macros of this file and dbt's own: a newer dbt causes no rebuild.

    One loop visits the models and seeds, one the macros: what a loop appends to its list it visits later. A macro call takes
    longer than all of a loop, and a build asks for every model twice, so what a code leaves is kept in `graph`, which all nodes
    of a build share.
#}
{% macro code_parts() -%}
    {%- set nodes = [model.unique_id] if execute and model.unique_id in graph.nodes else [] -%}
    {%- set tokens, called, macros, parts = graph.setdefault('tokens', {}), [], {}, [] -%}
    {%- for unique_id in nodes -%}
        {%- set node = graph.nodes[unique_id] -%}
        {%- for parent in node.depends_on.nodes or [] if parent in graph.nodes and parent not in nodes -%}
            {%- do nodes.append(parent) -%}
        {%- endfor -%}
        {%- if node.resource_type != 'seed' -%}
            {%- if unique_id not in tokens -%}
                {%- do tokens.update({unique_id: without_comments(node.raw_code)}) -%}
            {%- endif -%}
            {%- do called.extend(node.depends_on.macros + macros_called(tokens[unique_id])) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- for unique_id in called if unique_id.startswith('macro.recsys.') and unique_id not in macros -%}
        {%- set macro = context['recsys'][unique_id.split('.')[2]].macro -%}
        {%- if not macro.original_file_path.endswith('rebuilding.sql') -%}
            {%- if unique_id not in tokens -%}
                {%- do tokens.update({unique_id: without_comments(macro.macro_sql)}) -%}
            {%- endif -%}
            {%- do macros.update({unique_id: tokens[unique_id]}) -%}
            {%- do called.extend(macro.depends_on.macros) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- for unique_id in nodes | sort -%}
        {#- The seed as it was loaded, not its file. -#}
        {%- set node = graph.nodes[unique_id] -%}
        {%- do parts.append(
            unique_id ~ ' ' ~ (build_of(node.name).fingerprint if node.resource_type == 'seed' else tokens[unique_id])
        ) -%}
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


{#
    Code as tokens with one blank between them, without comments, so that changes of layout and comments do not count. Strings are
    kept unchanged, and so are comments with Jinja in them, which dbt renders. Code with escaped or dollar quotes is returned
    as it is, since this macro cannot tell where its strings end.
#}
{% macro without_comments(code) -%}
    {%- if "\\'" in code or '\\"' in code or '$$' in code -%}
        {{ return(code) }}
    {%- endif -%}
    {#- One substitution, since Jinja takes its time for each token: what stands before a token is replaced with it. -#}
    {%- set skipped = '[{]#(?:.|\n)*?#[}]|--(?![^\n]*[{][{%])[^\n]*|/[*](?:(?![*]/|[{][{%])(?:.|\n))*[*]/|\\s+' -%}
    {%- set kept = "--[^\n]*|/[*](?:.|\n)*?[*]/|'[^']*'|" ~ '"[^"]*"|[A-Za-z0-9_]+|.' -%}
    {#- A full stop on a line of its own marks the end, so that what is skipped there stands before a token too. -#}
    {%- set texts = modules.re.sub('(?:' ~ skipped ~ ')*(' ~ kept ~ ')', '\\1 ', code ~ '\n.') -%}
    {{ return(texts[:-(' . ' | length)]) }}
{%- endmacro %}
