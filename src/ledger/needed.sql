-- What the next segment begins with, because it is still asked for when this one is away: every key of the last months,
-- everything of runs whose approval is spent and whose outcome isn't known yet, the newest policy, switch and restore.
CREATE TEMP TABLE needed AS
WITH
  every AS (
    SELECT seq, kind, run, json_extract(body, '$.attempt') AS attempt, at FROM records
    UNION ALL
    SELECT seq, kind, run, json_extract(body, '$.attempt'), at FROM carried
  ),
  unfinished AS (
    SELECT run, attempt FROM every AS spend
    WHERE kind = 'spend'
      AND NOT EXISTS (
        SELECT 1 FROM records WHERE run = spend.run AND kind = 'outcome' AND json_extract(body, '$.attempt') = spend.attempt
      )
      AND NOT EXISTS (
        SELECT 1 FROM carried WHERE run = spend.run AND kind = 'outcome' AND json_extract(body, '$.attempt') = spend.attempt
      )
  ),
  newest AS (
    SELECT max(seq) AS seq FROM every WHERE kind = 'policy'
    UNION ALL
    SELECT max(seq) FROM every WHERE kind = 'switch'
    UNION ALL
    SELECT max(seq) FROM every WHERE kind = 'restore'
  )
SELECT seq FROM every
WHERE kind NOT IN ('seal', 'anchor')
  AND (
    at >= $since
    OR seq IN (SELECT seq FROM newest)
    OR run IN (SELECT run FROM unfinished)
  )
