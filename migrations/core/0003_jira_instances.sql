-- `url` is where the REST API is, `site` where people browse. The credentials are the Authorization header, encrypted.
CREATE TABLE jira_instances (
    tenant_id             uuid NOT NULL,
    id                    text NOT NULL CHECK (id <> ''),
    url                   text NOT NULL,
    site                  text NOT NULL,
    flavour               text CHECK (flavour IN ('cloud', 'datacenter')),
    public_only           boolean NOT NULL DEFAULT true,
    credentials_encrypted bytea NOT NULL,
    created_at            timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
);
