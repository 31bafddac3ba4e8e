-- A submission with how many of its samples are where.
SELECT submissions.*,
    (SELECT count(*) FROM samples WHERE submission_id = submissions.id) AS samples,
    (SELECT count(*) FROM samples WHERE submission_id = submissions.id AND status = 'submitted') AS submitted,
    (SELECT count(*) FROM samples WHERE submission_id = submissions.id
        AND status IN ('completed', 'distributed')) AS completed,
    (SELECT count(*) FROM samples WHERE submission_id = submissions.id
        AND status = 'archived' AND completed_ms IS NULL) AS archived,
    (SELECT count(*) FROM samples WHERE submission_id = submissions.id
        AND status = 'archived' AND completed_ms IS NOT NULL) AS put_away,
    (SELECT count(*) FROM samples WHERE submission_id = submissions.id
        AND status IN ('submitted', 'prep', 'sequencing', 'analysis')
        AND (held_since_ms IS NOT NULL OR EXISTS (
            SELECT 1 FROM processing_steps AS step WHERE step.sample_id = samples.id
                AND step.stage = samples.stage AND step.status = 'failed'))) AS in_question
FROM submissions
