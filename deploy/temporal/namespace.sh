#!/bin/sh
# Creates the namespace and its search attributes if they are missing. Safe to repeat.
#
# Connection: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE. NAMESPACE_RETENTION is used only at creation; change it later
# with `temporal operator namespace update --retention`.
set -eu

temporal operator namespace describe -n "$TEMPORAL_NAMESPACE" >/dev/null 2>&1 ||
  temporal operator namespace create -n "$TEMPORAL_NAMESPACE" --retention "$NAMESPACE_RETENTION"

# The server recognizes a new namespace only after its cache was refreshed, a few seconds later.
tries=0
until temporal operator search-attribute list -n "$TEMPORAL_NAMESPACE" >/dev/null 2>&1; do
  tries=$((tries + 1))
  if [ "$tries" -ge 60 ]; then
    echo "namespace $TEMPORAL_NAMESPACE is still not known after 60 s" >&2
    exit 1
  fi
  sleep 1
done

# The same as SEARCH_ATTRIBUTES in workflows/visibility.py; a test compares them. Existing ones are not changed; one of
# another type is an error.
temporal operator search-attribute create -n "$TEMPORAL_NAMESPACE" \
  --name SettlementState --type Keyword \
  --name OrderId --type Keyword \
  --name CompanyId --type Keyword \
  --name Currency --type Keyword \
  --name OperationType --type Keyword
