-- First answers to requests with an Idempotency-Key. They are in no backup: what they say holds for a day.

CREATE TABLE idempotency_keys (
  -- SHA-256 of the API key's id and the key.
  key_hash    bytea PRIMARY KEY,
  -- HMAC of the request, under the secret below.
  request_mac bytea NOT NULL,
  -- The result of the operation, as JSON.
  result      text NOT NULL,
  -- Whose data the request or its answer may show.
  user_ids    bigint[] NOT NULL,
  kept_at     timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (kept_at);
CREATE INDEX idempotency_keys_by_user ON idempotency_keys USING gin (user_ids);

-- Without it, whoever reads the table could find out by trying what a request said.
CREATE TABLE idempotency_secret (
  is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  secret  bytea NOT NULL
);

INSERT INTO idempotency_secret (secret)
VALUES (sha256(decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex')));

-- No foreign key to users, for it would refuse a TRUNCATE of users by hand.
CREATE FUNCTION delete_idempotency_keys_of_user() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    DELETE FROM idempotency_keys WHERE user_ids <> '{}';
  ELSE
    DELETE FROM idempotency_keys WHERE user_ids @> ARRAY[OLD.id];
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER users_deleted_idempotency_keys
  AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION delete_idempotency_keys_of_user();

CREATE TRIGGER users_truncated_idempotency_keys
  AFTER TRUNCATE ON users FOR EACH STATEMENT EXECUTE FUNCTION delete_idempotency_keys_of_user();

-- The dashboards' role has no business here.
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'switchyard_reader') THEN
    REVOKE ALL ON idempotency_keys, idempotency_secret FROM switchyard_reader;
  END IF;
END $$;
