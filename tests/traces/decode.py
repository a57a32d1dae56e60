"""Reads an ExportTraceServiceRequest with OpenTelemetry's own classes and prints its spans as JSON.

It fails on whatever those classes do not know: a field of another number or type would be one.
"""

import json
import sys

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status


def attributes(pairs):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def plain(span, resource, scope):
    return {
        "trace_id": span.trace_id.hex(),
        "span_id": span.span_id.hex(),
        "parent_span_id": span.parent_span_id.hex(),
        "flags": span.flags,
        "name": span.name,
        "kind": Span.SpanKind.Name(span.kind),
        "start": span.start_time_unix_nano,
        "end": span.end_time_unix_nano,
        "attributes": attributes(span.attributes),
        "events": [[event.name, event.time_unix_nano] for event in span.events],
        "status": [Status.StatusCode.Name(span.status.code), span.status.message],
        "resource": attributes(resource.attributes),
        "scope": scope.name,
    }


body = sys.stdin.buffer.read()
request = ExportTraceServiceRequest.FromString(body)
request.DiscardUnknownFields()
assert request.ByteSize() == len(body), "there are fields that OpenTelemetry does not know"
print(json.dumps([
    plain(span, of_resource.resource, of_scope.scope)
    for of_resource in request.resource_spans
    for of_scope in of_resource.scope_spans
    for span in of_scope.spans
]))
