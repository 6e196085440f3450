{#
    When incremental models must be rebuilt whole. Macros of this file write notes and decide; no row is made by them, so a
    change of them is no reason to rebuild.
#}

{#
    The post-hook of incremental models and seeds: what they were made from and up to which load, in one statement, which
    is done whole or not at all.

    On DuckDB it is part of the model's transaction. On Snowflake dbt commits the model first, and a build that dies in
    between leaves a model that has more than it is noted to have. The next build makes it right: it takes the same loads
    up again, and each row takes the place of the one with its key; staging of events, which only appends, asks its own
    rows what is new; and a model that was made whole without a note, or with that of other code, is made whole again.
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
    {%- set made_with = build_of(model.name).fingerprint -%}
    {%- if made_with == code_fingerprint() -%}
        {{ return(false) }}
    {%- endif -%}
    {#- Without a note it is the rest of a rebuild that was under way, or a first build. -#}
    {%- if made_with is not none -%}
        {{ refuse_if_large() }}
    {%- endif -%}
    {{ return(true) }}
{%- endmacro %}


{# Stops the build of a model that would be rebuilt, unasked, from more rows than `RECSYS_REBUILD_UP_TO_ROWS` allows. #}
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


{# How many rows the table of this model has; 0 if there is none. #}
{% macro rows_of_this() -%}
    {%- set there = adapter.get_relation(this.database, this.schema, this.identifier) -%}
    {{ return((run_query('select count(*) from ' ~ there).rows[0][0] if there else 0) | int) }}
{%- endmacro %}


{#
    A hash of what decides the model's rows: its code and that of all models and seeds above it, of the macros that these use,
    and the variables that any of these names.
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
            {#- What was loaded counts, not what the file says by now. -#}
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


{# The ids of this project's macros that code calls: dbt itself notes none of those behind `is_incremental()`, which is false then. #}
{% macro macros_called(code) -%}
    {%- set found = [] -%}
    {%- for name in modules.re.findall('\\b([A-Za-z_][A-Za-z0-9_]*) *[(]', code) if name in context['recsys'] -%}
        {%- do found.append('macro.recsys.' ~ name) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{# Adds the id of a node to a list, and those of all models and seeds above it. #}
{% macro add_ancestors(unique_id, seen) -%}
    {%- if unique_id in graph.nodes and unique_id not in seen -%}
        {%- do seen.append(unique_id) -%}
        {%- for parent in graph.nodes[unique_id].depends_on.nodes or [] -%}
            {%- do add_ancestors(parent, seen) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}


{#
    Adds the code of macros of this project to a mapping by id, and of those that they use. Not of this file, nor of dbt's own: a
    newer dbt is no reason to rebuild.
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
    Code as its words and signs, one blank between two, without comments: what does not change what it does does not count. Texts
    in quotes are kept as they are. So is a comment with Jinja in it, which dbt runs; and all code in which a quote is
    escaped or quoted by dollars, since where its texts end is not to be seen so simply.
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
