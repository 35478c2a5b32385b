"""The functions a template may call. What is not listed is refused.

The read-only transaction, the restricted role and the statement timeout stand behind it.
"""

from __future__ import annotations

AGGREGATES = """
    count sum avg min max array_agg string_agg json_agg jsonb_agg json_object_agg jsonb_object_agg bool_and bool_or
    every stddev stddev_pop stddev_samp variance var_pop var_samp corr covar_pop covar_samp
    regr_slope regr_intercept regr_r2 percentile_cont percentile_disc mode any_value grouping
    row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value
"""
NUMBERS = """
    abs ceil ceiling floor round trunc sign sqrt cbrt power exp ln log mod div greatest least width_bucket
    coalesce nullif cast num_nulls num_nonnulls
"""
TEXT = """
    lower upper initcap length char_length octet_length substr substring left right trim ltrim rtrim btrim lpad rpad
    replace translate split_part strpos position overlay concat concat_ws format reverse starts_with to_char to_number
    regexp_replace regexp_match regexp_count regexp_like regexp_substr regexp_instr string_to_array array_to_string md5
    similarity word_similarity strict_word_similarity
    to_tsvector to_tsquery plainto_tsquery phraseto_tsquery websearch_to_tsquery ts_rank ts_rank_cd ts_headline
"""
TIME = """
    now statement_timestamp transaction_timestamp date_trunc date_part date_bin extract age to_date to_timestamp
    timezone make_date make_time make_timestamp make_timestamptz make_interval justify_days justify_hours
    justify_interval
"""
SETS = """
    generate_series unnest cardinality array_length array_position array_positions array_remove array_append array_cat
    jsonb_build_object jsonb_build_array json_build_object json_build_array to_json to_jsonb jsonb_typeof
    jsonb_array_length jsonb_array_elements jsonb_array_elements_text jsonb_each jsonb_each_text jsonb_object_keys
    jsonb_extract_path jsonb_extract_path_text jsonb_path_query jsonb_path_exists jsonb_strip_nulls row
"""
SESSION = "current_setting"
"""`current_setting('app.current_tenant_id')` is how a template knows the tenant where no row-level security does."""

ALLOWED = frozenset(" ".join((AGGREGATES, NUMBERS, TEXT, TIME, SETS, SESSION)).split())

LANGUAGE = """
    select distinct all from lateral join on using where and or not in exists any some between like ilike similar is
    case when then else having by over filter within group rollup cube sets values as materialized with union intersect
    except limit offset fetch array operator collate escape
    numeric decimal varchar char character bit varying timestamp timestamptz time timetz interval float
"""
KEYWORDS = frozenset(LANGUAGE.split())
"""Words of the language that may stand before a bracket without calling anything."""

NAMING = frozenset({"as", "with", "recursive"})
"""After these a word before a bracket is a new name with its columns, as in `WITH week (day) AS`."""
