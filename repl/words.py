"""Words of SQL texts: what completion offers, what needs quotes, names with quotes and without."""

from __future__ import annotations

import re


def words(text: str) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(text.split())


# What a statement may begin with.
STATEMENTS = words(
    """
    SELECT FROM WITH VALUES CREATE INSERT UPDATE DELETE DROP ALTER COPY BEGIN COMMIT ROLLBACK
    CHECKPOINT DESCRIBE SUMMARIZE SHOW EXPLAIN SET RESET PRAGMA
    """
)

# Words no name can be without quotes.
RESERVED = words(
    """
    ALL AND ANY AS ASC BOTH CASE CAST CHECK COLLATE COLUMN CONSTRAINT CREATE DEFAULT DESC DISTINCT
    ELSE END EXCEPT EXISTS FALSE FETCH FOR FOREIGN FROM GRANT GROUP HAVING IN INTERSECT INTO LATERAL
    LEADING LIMIT NOT NULL OFFSET ON ONLY OR ORDER PRIMARY QUALIFY REFERENCES SELECT SOME TABLE THEN
    TO TRAILING TRUE UNION UNIQUE USING WHEN WHERE WINDOW WITH
    """
)

# Words inside statements.
KEYWORDS = words(
    """
    ALL ANALYZE AND ANY AS ASC BETWEEN BIGINT BLOB BOOLEAN BOX BY CASE CAST CHI CROSS CUBE DATE
    DECIMAL DEFAULT DESC DISTINCT DOUBLE ELSE END ESCAPE EXCEPT EXCLUDE EXISTS EXTRACT FALSE
    FILTER FIRST FLOAT FROM FULL GROUP GROUPING HAVING HUGEINT ILIKE IN INDEX INDEXES INNER
    INTEGER INTERSECT INTERVAL INTO IS JOIN KEY LAST LATERAL LEFT LIKE LIMIT MASK MODEL MODELS
    NATURAL NOT NPI NULL NULLS OFFSET ON OR ORDER OUTER OVER PARTITION PRIMARY QUALIFY RECURSIVE
    REPLACE RETURNING RIGHT ROLLUP ROWS SEMI SET SETS SETTINGS SMALLINT TABLE TABLES TENSOR THEN
    TIME TIMESTAMP TINYINT TRANSACTION TRUE TRY_CAST UNION UNIQUE UNNEST USING UUID VALUES
    VARCHAR VIEW VIEWS WHEN WHERE WITH
    """
)


PLAIN = re.compile(r"[A-Za-z_]\w*\Z")


def quoted(name: str) -> str:
    """The name as SQL needs it, in double quotes unless it is a plain word."""
    if PLAIN.match(name) and name.upper() not in RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def unquoted(text: str) -> str:
    """The name that a word or quoted name of SQL stands for."""
    return text[1:-1].replace('""', '"') if text.startswith('"') else text
