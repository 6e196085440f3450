{#
    A whole `select` that reads many paths of a JSON column in one parse.

    relation   where to read from
    fields     alias → path, or alias → list of paths, of which the first with a value is used; `a.b` is b inside a
    inside     alias of a field that holds an object → the fields to read from it; cheaper than paths from the top where
               an object has few keys of the many that are looked for
    column     the JSON column
    keep       columns passed on unchanged
    where      predicate on the relation's own columns

    Every field is text; a missing key, JSON null and the empty string are all NULL. Cast with the macros of text.sql
    and time.sql.
#}
{% macro json_fields(relation, fields, inside={}, column='record', keep=[], where='true') -%}
    {{ return(adapter.dispatch('json_fields')(relation, fields, inside, column, keep, where)) }}
{%- endmacro %}


{% macro duckdb__json_fields(relation, fields, inside, column, keep, where) -%}
    {#- One struct of all paths, so that a record is parsed once and its keys are looked up once. -#}
    {%- set outer = duckdb__json_columns(fields, 'fields') -%}
    {%- set ns = namespace(columns=outer.columns, nested=[]) -%}
    {%- for object, its_fields in inside.items() -%}
        {%- set text = outer.expressions[object] -%}
        {%- set inner = duckdb__json_columns(its_fields, object ~ '_fields') -%}
        {#- The field may hold any text: `try` gives NULL for text that is not JSON. -#}
        {%- do ns.nested.append("try(json_transform(" ~ text ~ ", '" ~ tojson(inner.tree) ~ "')) as " ~ object ~ "_fields") -%}
        {%- set ns.columns = ns.columns + inner.columns -%}
    {%- endfor -%}
    with parsed as (
        select
            {% for name in keep -%}
            {{ name }},
            {% endfor -%}
            json_transform({{ column }}, '{{ tojson(outer.tree) }}') as fields
        from {{ relation }}
        where {{ where }}
    ){% if inside %},

    nested as (
        select
            *,
            {{ ns.nested | join(',\n            ') }}
        from parsed
    ){% endif %}

    select
        {{ (keep + ns.columns) | join(',\n        ') }}
    from {{ 'nested' if inside else 'parsed' }}
{%- endmacro %}


{#
    For some fields: the tree of keys to read into a struct of that name, and for each alias the expression that reads it
    from there, also as a column.
#}
{% macro duckdb__json_columns(fields, struct) -%}
    {%- set ns = namespace(columns=[]) -%}
    {%- set tree = {} -%}
    {%- set expressions = {} -%}
    {%- for alias, path in fields.items() -%}
        {%- set parts = [] -%}
        {%- for option in ([path] if path is string else path) -%}
            {%- do duckdb__add_to_tree(tree, option) -%}
            {%- do parts.append("nullif(" ~ struct ~ '."' ~ option | replace('.', '"."') ~ '"' ~ ", '')") -%}
        {%- endfor -%}
        {%- set value = parts[0] if parts | length == 1 else 'coalesce(' ~ parts | join(', ') ~ ')' -%}
        {%- do expressions.update({alias: value}) -%}
        {%- set ns.columns = ns.columns + [value ~ ' as ' ~ alias] -%}
    {%- endfor -%}
    {{ return({'tree': tree, 'columns': ns.columns, 'expressions': expressions}) }}
{%- endmacro %}


{% macro duckdb__add_to_tree(tree, path) -%}
    {%- set keys = path.split('.') -%}
    {%- set here = namespace(node=tree) -%}
    {%- for key in keys[:-1] -%}
        {%- do here.node.setdefault(key, {}) -%}
        {%- set here.node = here.node[key] -%}
        {%- if here.node is string -%}{{ duckdb__refuse_path(path) }}{%- endif -%}
    {%- endfor -%}
    {%- if here.node.get(keys[-1]) is mapping -%}{{ duckdb__refuse_path(path) }}{%- endif -%}
    {%- do here.node.update({keys[-1]: 'VARCHAR'}) -%}
{%- endmacro %}


{% macro duckdb__refuse_path(path) -%}
    {{ exceptions.raise_compiler_error(
        "json_fields cannot read " ~ path ~ " both whole and in parts: name the parts under `inside`."
    ) }}
{%- endmacro %}


{% macro snowflake__json_fields(relation, fields, inside, column, keep, where) -%}
    {#- In a unit test the column is text and must be parsed. -#}
    {%- set record = 'parse_json(cast(' ~ column ~ ' as varchar))' if model.resource_type == 'unit_test' else column -%}
    {%- set ns = namespace(columns=snowflake__json_columns(fields, 'record_read'), objects=[]) -%}
    {%- for object, its_fields in inside.items() -%}
        {%- do ns.objects.append(snowflake__json_object(fields[object], 'record_read') ~ ' as ' ~ object ~ '_read') -%}
        {%- set ns.columns = ns.columns + snowflake__json_columns(its_fields, object ~ '_read') -%}
    {%- endfor -%}
    with records_read as (
        select
            {% for name in keep -%}
            {{ name }},
            {% endfor -%}
            {{ record }} as record_read
        from {{ relation }}
        where {{ where }}
    ){% if inside %},

    objects_read as (
        select
            *,
            {{ ns.objects | join(',\n            ') }}
        from records_read
    ){% endif %}

    select
        {{ (keep + ns.columns) | join(',\n        ') }}
    from {{ 'objects_read' if inside else 'records_read' }}
{%- endmacro %}


{# The object at a path, or at the first of several paths that has one; an object as JSON text is parsed. #}
{% macro snowflake__json_object(path, column) -%}
    {%- set parts = [] -%}
    {%- for option in ([path] if path is string else path) -%}
        {%- set value = "get_path(" ~ column ~ ", '" ~ option ~ "')" -%}
        {%- do parts.append(
            "case when as_varchar(" ~ value ~ ") is not null then try_parse_json(as_varchar(" ~ value ~ "))"
            ~ " when not is_null_value(" ~ value ~ ") then " ~ value ~ " end"
        ) -%}
    {%- endfor -%}
    {{ return(parts[0] if parts | length == 1 else 'coalesce(' ~ parts | join(', ') ~ ')') }}
{%- endmacro %}


{# A column for each field, read from the top of an object. #}
{% macro snowflake__json_columns(fields, column) -%}
    {%- set ns = namespace(columns=[]) -%}
    {%- for alias, path in fields.items() -%}
        {%- set parts = [] -%}
        {%- for option in ([path] if path is string else path) -%}
            {%- do parts.append("nullif(get_path(" ~ column ~ ", '" ~ option ~ "')::varchar, '')") -%}
        {%- endfor -%}
        {%- set value = parts[0] if parts | length == 1 else 'coalesce(' ~ parts | join(', ') ~ ')' -%}
        {%- set ns.columns = ns.columns + [value ~ ' as ' ~ alias] -%}
    {%- endfor -%}
    {{ return(ns.columns) }}
{%- endmacro %}


{# The text of a JSON array as an array of strings; anything else, and NULL, gives an empty array. #}
{% macro string_array(text) -%}
    {{ return(adapter.dispatch('string_array')(text)) }}
{%- endmacro %}


{% macro duckdb__string_array(text) -%}
    coalesce(try_cast(try_cast({{ text }} as json) as varchar[]), cast([] as varchar[]))
{%- endmacro %}


{% macro snowflake__string_array(text) -%}
    coalesce(as_array(try_parse_json({{ text }})), array_construct())
{%- endmacro %}


{#
    A whole `select` with a row for each element of the JSON array in a text column; no rows for other text.

    relation   where to read from
    column     the text column
    fields     alias → key of an element that is an object; text, NULL like those of `json_fields`
    keep       columns passed on unchanged
    where      predicate on the relation's own columns

    `item_number` counts from 1.
#}
{% macro json_items(relation, column, fields, keep=[], where='true') -%}
    {{ return(adapter.dispatch('json_items')(relation, column, fields, keep, where)) }}
{%- endmacro %}


{% macro duckdb__json_items(relation, column, fields, keep, where) -%}
    {%- set columns = [] -%}
    {%- for alias, key in fields.items() -%}
        {%- do columns.append("nullif(json_extract_string(item, '$." ~ key ~ "'), '') as " ~ alias) -%}
    {%- endfor -%}
    with lists as (
        select
            {% for name in keep -%}
            {{ name }},
            {% endfor -%}
            try_cast(try_cast({{ column }} as json) as json[]) as elements
        from {{ relation }}
        where {{ where }}
    ),

    items as (
        select
            {% for name in keep -%}
            {{ name }},
            {% endfor -%}
            unnest(elements) as item,
            generate_subscripts(elements, 1) as item_number
        from lists
    )

    select
        {{ (keep + ['item_number'] + columns) | join(',\n        ') }}
    from items
{%- endmacro %}


{% macro snowflake__json_items(relation, column, fields, keep, where) -%}
    {%- set columns = [] -%}
    {%- for alias, key in fields.items() -%}
        {%- do columns.append("nullif(get_path(item.value, '" ~ key ~ "')::varchar, '') as " ~ alias) -%}
    {%- endfor -%}
    with lists as (
        select
            {% for name in keep -%}
            {{ name }},
            {% endfor -%}
            as_array(try_parse_json({{ column }})) as elements
        from {{ relation }}
        where {{ where }}
    )

    select
        {% for name in keep -%}
        lists.{{ name }},
        {% endfor -%}
        {{ (['item.index + 1 as item_number'] + columns) | join(',\n        ') }}
    from lists, lateral flatten(input => lists.elements) as item
{%- endmacro %}


{# Number of elements of a JSON array as text; NULL for anything else. #}
{% macro array_length(text) -%}
    {{ return(adapter.dispatch('array_length')(text)) }}
{%- endmacro %}


{% macro duckdb__array_length(text) -%}
    cast(len(try_cast(try_cast({{ text }} as json) as json[])) as integer)
{%- endmacro %}


{% macro snowflake__array_length(text) -%}
    array_size(as_array(try_parse_json({{ text }})))
{%- endmacro %}


{#
    The text at a path inside JSON text; NULL if there is none. Each call parses the text again: use it for single fields that
    a tracker sends as JSON text, not for whole records.
#}
{% macro json_in_text(text, path) -%}
    {{ return(adapter.dispatch('json_in_text')(text, path)) }}
{%- endmacro %}


{% macro duckdb__json_in_text(text, path) -%}
    nullif(json_extract_string(try_cast({{ text }} as json), '$.{{ path }}'), '')
{%- endmacro %}


{% macro snowflake__json_in_text(text, path) -%}
    nullif(get_path(try_parse_json({{ text }}), '{{ path }}')::varchar, '')
{%- endmacro %}
