#!/bin/sh
# Gives the roles of roles.sql their passwords from files, when a container's database is made.
set -eu

for role in owner server; do
    password=$(cat "/run/secrets/${role}_password")
    psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --set ON_ERROR_STOP=1 \
        --set role="gatelodge_$role" --set password="$password" <<'SQL'
ALTER ROLE :"role" PASSWORD :'password';
SQL
done
