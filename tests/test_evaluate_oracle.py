"""Expressions over columns with NULLs give what DuckDB gives, in every layout."""

from __future__ import annotations

import pytest
from expression_oracle import Oracle, as_bytes, as_dictionary, narrowed

COLUMNS = """
    i INTEGER, j INTEGER, b BIGINT, h HUGEINT, y TINYINT, f DOUBLE, r FLOAT, d DECIMAL(15,2),
    e DECIMAL(4,1), w DECIMAL(30,3), s VARCHAR, u VARCHAR, p VARCHAR, t DATE, v DATE,
    m TIMESTAMP, c TIME, o BOOLEAN, q BOOLEAN, n INTERVAL
"""
ROWS = """
(1, 2, 10000000000, 170141183460469231731687303715884105727, 127, 1.5, 1.5, 12.34, 1.5,
123456789012345678901234.567,  'abc', 'b', 'a%', '2020-02-29', '2021-03-01',
'2020-02-29 12:34:56.789', '10:20:30.5', true, false, INTERVAL '1 month 2 days'), (NULL, 3, NULL,
-1, -128, 'nan', 0.1, -0.05, NULL, -0.5, 'Ünïcode', 'ï', '%ï_%', '1969-12-31', NULL,
 '1969-12-31 23:59:59.5', '00:00:00', false, NULL, INTERVAL '-1 day 3 hours'), (-7, -2, -5, 0,
NULL, '-inf', 'nan', NULL, -0.1, NULL, '', '', '', NULL, '2000-01-01', NULL, NULL, NULL, true,
NULL), (0, 5, 9223372036854775807, NULL, 3, 0.0, NULL, 9999999999999.99, 99.9, 2.5, NULL, 'x',
NULL, '2024-12-31',  '2024-02-29', '2024-12-31 00:00:00', '23:59:59.999999', true, true,
INTERVAL '2 years'), (42, 7, 3, 12345678901234567890, 1, -2.5, -2.5, 0.00, 0.0,
-99999999999999999999.999, 'a%c_d  ', 'a', '%c$_%', '1900-01-01',  '1899-12-31',
'1900-01-01 06:00:00', '12:00:00', NULL, NULL, INTERVAL '00:00:00.000001')
"""
EXPRESSIONS = """
i + j; i - j; i * j; i + 1; 1 - i; y + j::SMALLINT; b - 1; -i; -d; -w; i / j; i // j; i % j
i // nullif(j, 2); d / 3; b // 7; b % 7; h % 7; d % 0.7; e % 0.3; f / 0; f % 2; r / 3; r * 2
f + d; d + 1; d + e; d - e; d * e; e * e; d * 2; w + 1; w - d; w * 2; e + w; i * 1.5; d * (1 - e)
d * (1 - e) * (1 + e); h + 0; i + f; y * 2::SMALLINT; d + b; e * b; 1.5 - i; abs(i); abs(d); i = 1
i <> j; i < 0; i <= j; i > 2.5; d >= 0; d = 12.34; f = f; f < 1; f > 1; f >= f; 1 < f; f <> 0
r = 1.5; r > d; w < 0; w = 2.5; w >= w; h > 5; h = -1; y < 300; y > -1000; y <> 128; s = 'abc'
s < 'b'; s >= u; 'abc' <> s; s = u; t < v; t = '2020-02-29'; t < m; t >= DATE '1970-01-01'; m > t
c < '12:00:00'; o = q; o < q; n < INTERVAL 31 DAY; n = n; n > INTERVAL 1 DAY; i = '42'; b > '5'
i IS NULL; i IS NOT NULL; s IS NULL; i IS DISTINCT FROM j; i IS NOT DISTINCT FROM NULL
f IS DISTINCT FROM f; o AND q; o OR q; NOT o; o AND NULL; o OR NULL; o AND i > 0
q OR i > 0 OR NULL; i IN (1, 42); i IN (1, NULL); i NOT IN (0, NULL); i IN (1, 2, 3, 4, 5, 42)
i IN (j, 1); s IN ('abc', ''); s NOT IN ('abc', NULL); f IN (1.5, 0); i BETWEEN 0 AND 42
d IN (12.34, 0); t IN ('2020-02-29'); CASE WHEN i > 0 THEN j END; CASE WHEN o THEN i ELSE j END
CASE WHEN o THEN 'x' WHEN q THEN s ELSE u END; CASE i WHEN 1 THEN 'one' WHEN 42 THEN 'much' END
CASE WHEN i <> 0 THEN j // i ELSE 0 END; CASE WHEN o THEN d ELSE e END
CASE WHEN o THEN w ELSE 1 END; CASE WHEN o THEN n END; CASE WHEN o THEN 1.5 ELSE 2 END
coalesce(i, j); coalesce(s, u, 'z'); coalesce(o, q); coalesce(d, 0); coalesce(t, v)
coalesce(w, 0.5); coalesce(n, INTERVAL 1 DAY); greatest(i, j); least(i, j, 0); greatest(s, u)
least(t, v); greatest(f, 0); least(f, r); greatest(d, e); nullif(i, 1); nullif(s, '')
ifnull(i, 9); if(o, i, 3); coalesce(nullif(i, 0), 1); j % nullif(i, 0); s || u; s || i; s || 'x'
'x' || d; concat(s, u, i); concat_ws('-', s, u, 'z'); concat_ws(u, s, 'z'); length(s); strlen(s)
upper(s); lower(s); reverse(s); trim(s); ltrim(s); rtrim(s); trim(s, 'a'); ltrim(s, 'a%')
rtrim(s, u); substring(s, 2); substring(s, 2, 2); substring(s, -2); substring(s, i, 2)
substring(s, 2, j); substring(s, -5, 3); substring(s, 0, 2); left(s, 2); left(s, -1); right(s, 2)
right(s, -1); left(s, j); right(s, i); replace(s, 'a', 'bb'); replace(s, u, '*')
position('c' IN s); strpos(s, u); instr(s, 'ï'); starts_with(s, 'a'); starts_with(s, u)
ends_with(s, 'c'); suffix(s, u); prefix(s, u); contains(s, 'b'); contains(s, u); repeat(s, 2)
repeat(u, j); lpad(s, 5, 'xy'); rpad(s, 5, 'xy'); lpad(s, 2, 'x'); lpad(s, j, '-')
split_part(s, '%', 1); split_part(s, '%', -1); split_part(s, u, 2); ascii(s); unicode(u)
chr(65 + j); s LIKE 'a%'; s LIKE '%c%'; s LIKE '%'; s LIKE ''; s LIKE 'a_c'; s LIKE '%c_d%'
s LIKE p; s NOT LIKE '%b%'; s LIKE '%_'; s LIKE '%%'; s ILIKE 'A%'; s ILIKE '%ÏC%'
s LIKE '%c$_%' ESCAPE '$'; s LIKE 'a.c'; s LIKE 'a\\%'; s ILIKE p; u LIKE s
regexp_matches(s, '^a.c'); regexp_matches(s, 'B', 'i'); regexp_replace(s, '[a-c]', '_')
regexp_replace(s, '[a-c]', '_', 'g'); regexp_replace(s, '(b)', '<\\1>')
regexp_extract(s, '[a-z]+'); regexp_extract(s, '(a)(.)', 2); regexp_full_match(s, '[abc]+')
year(t); month(t); day(t); quarter(t); week(t); dayofweek(t); isodow(t); dayofyear(t); decade(t)
century(t); isoyear(t); yearweek(t); year(m); month(m); hour(m); minute(m); second(m)
millisecond(m); microsecond(m); week(m); hour(c); second(c); extract(month FROM t)
date_part('dow', t); epoch(t); epoch(m); epoch_ms(m); date_trunc('month', t)
date_trunc('week', t); date_trunc('year', m); date_trunc('hour', m); date_trunc('quarter', t)
date_trunc('decade', t); date_trunc('second', m); date_diff('day', t, v); date_diff('month', t, v)
date_diff('year', t, v); date_diff('week', t, v); date_diff('hour', m, v)
date_diff('quarter', t, v); date_sub('month', t, v); date_sub('year', t, v); date_sub('day', m, v)
t + 1; t - j; t - v; t + n; t - n; m + n; m - n; m - t; t + INTERVAL 1 MONTH
t - INTERVAL '90' DAY; c + INTERVAL 25 HOUR; t + c; n + n; n - INTERVAL 1 DAY; n * 2; n / 2; -n
n * 1.5; last_day(t); last_day(m); monthname(t); dayname(t); strftime(t, '%Y-%m-%d')
strftime(m, '%d.%m.%y %H:%M:%S.%f %p %I')
strftime(m, '%A %a %B %b %j %w %u %G %V %U %W %-d %g %%'); to_days(j); to_months(j); to_years(j)
to_hours(j); to_seconds(f); make_date(2000 + j, abs(j), 3); year(n); month(n); day(n); hour(n)
date_add(t, INTERVAL 1 MONTH); ceil(f); floor(f); ceil(d); floor(d); floor(e); ceil(w); floor(w)
round(f); round(d); round(d, 1); round(e, 0); round(f, 1); round(i, -1); round(w); round(w, 1)
trunc(f); trunc(d); trunc(w); trunc(d, 1); sign(i); sign(d); sign(f); sign(w); sqrt(j * j); exp(i)
ln(j * j); log10(j * j); log2(j * j); pow(j, 2); pow(i, 0.5); sin(i); cos(i); tan(i); atan(i)
atan2(i, j); degrees(f); radians(i); isnan(f); isinf(f); pi(); i::VARCHAR; b::VARCHAR; d::VARCHAR
e::VARCHAR; w::VARCHAR; h::VARCHAR; f::VARCHAR; r::VARCHAR; t::VARCHAR; m::VARCHAR; c::VARCHAR
o::VARCHAR; n::VARCHAR; y::VARCHAR; i::DOUBLE; d::DOUBLE; w::DOUBLE; h::DOUBLE; i::DECIMAL(10,2)
d::DECIMAL(18,4); d::DECIMAL(15,1); e::INTEGER; d::BIGINT; w::DECIMAL(35,5); w::DECIMAL(30,1)
o::INTEGER; i::BOOLEAN; f::BOOLEAN; d::REAL; t::TIMESTAMP; m::DATE; m::TIME
TRY_CAST(s AS INTEGER); TRY_CAST(f AS INTEGER); TRY_CAST(b AS INTEGER); TRY_CAST(b AS DOUBLE)
TRY_CAST(w AS BIGINT); TRY_CAST(d AS DECIMAL(4,2)); TRY_CAST(f AS DECIMAL(3,1))
TRY_CAST(h AS BIGINT); TRY_CAST(s AS DATE); TRY_CAST(i::VARCHAR AS DOUBLE); TRY_CAST(f AS TINYINT)
f::DECIMAL(5,1); s::INTEGER; f::INTEGER; b + 1; h + 1; -y; y + y; d * d; j::TINYINT; [i, j]
[i, j][1]; [s, u][-1]; len([i, j, 3]); list_contains([i, j], 2); {'a': i, 'b': s}; {'a': i}.a
typeof(d)
""".replace("\n", ";")
CASES = [case.strip() for case in EXPRESSIONS.split(";") if case.strip()]


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle(COLUMNS, ROWS)


@pytest.mark.parametrize("layout", [as_bytes, as_dictionary, narrowed])
def test_expressions(oracle: Oracle, layout: object) -> None:
    failures = []
    for expression in CASES:
        try:
            oracle.check(expression, layout)  # type: ignore[arg-type]
        except Exception as error:
            failures.append(f"{expression}: {type(error).__name__} {error}")
    assert not failures, f"{len(failures)} of {len(CASES)}:\n" + "\n".join(failures)
