"""Traces by OpenTelemetry, of the extra `otel`: nothing here is imported or done unless they are configured."""
