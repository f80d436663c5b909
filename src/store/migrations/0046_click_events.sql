-- When a server with CLICK_EVENTS=off last removed clicks from the events, for servers that would keep them.
ALTER TABLE switchyard_database ADD COLUMN clicks_removed_at timestamptz;
