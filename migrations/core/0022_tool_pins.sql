-- Every definition of a tool that was ever seen, by its hash; a tool is served while its own is approved.
CREATE TABLE tool_pins (
    name          text NOT NULL,
    hash          text NOT NULL,
    definition    jsonb NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    approved_at   timestamptz,
    approved_by   text,
    PRIMARY KEY (name, hash)
);

CREATE TRIGGER tool_pins_changed AFTER INSERT OR UPDATE OR DELETE ON tool_pins
    FOR EACH ROW EXECUTE FUNCTION notify_change('gatelodge_tool_pins', 'name');
