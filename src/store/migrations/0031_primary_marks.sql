-- A standby that has the last mark of a server follows the primary that the server writes to.
CREATE TABLE primary_marks (
  mark bigint PRIMARY KEY,
  made_at timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'utc')
);
