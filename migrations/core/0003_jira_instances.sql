CREATE TABLE jira_instances (
    tenant_id             uuid NOT NULL,
    id                    text NOT NULL CHECK (id <> ''),
    url                   text NOT NULL,
    flavour               text NOT NULL CHECK (flavour IN ('cloud', 'datacenter')),
    auth                  text NOT NULL,
    credentials_encrypted bytea NOT NULL,
    created_at            timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
);
