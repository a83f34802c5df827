CREATE TABLE events
(
    position    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream      text        NOT NULL,
    version     bigint      NOT NULL,
    type        text        NOT NULL,
    id          uuid        NOT NULL UNIQUE,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    metadata    json        NOT NULL,
    data        json        NOT NULL,
    UNIQUE (stream, version)
)
