/* probe_grpc: see probe_grpc.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/probe_grpc.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/buf.h"
#include "lib/mem.h"

#define FRAME 5	       /* compressed?, length in four bytes */
#define FIELD_1_LEN 10 /* field 1, length-delimited */
#define FIELD_1_INT 8  /* field 1, varint */
#define SERVING 1

void probe_grpc_request(const char *service, struct buf *out)
{
	size_t n = strlen(service), varint = n < 128 ? 1 : 2, len = n ? 1 + varint + n : 0;
	const uint8_t frame[FRAME] = {0, 0, 0, (uint8_t)(len >> 8), (uint8_t)len};

	buf_append(out, frame, sizeof(frame));
	if (n == 0)
		return;
	buf_char(out, FIELD_1_LEN);
	if (varint == 2) /* at most PROBE_GRPC_SERVICE_MAX */
		buf_char(out, (char)(n | 128));
	buf_char(out, (char)(varint == 2 ? n >> 7 : n));
	buf_append(out, service, n);
}

/* The value behind "name:", NULL = it is another field. */
static const char *value_of(const char *line, size_t n, const char *name, size_t *ret_n)
{
	size_t len = strlen(name);

	if (n <= len || strncasecmp(line, name, len) != 0 || line[len] != ':')
		return NULL;
	for (len++; len < n && line[len] == ' '; len++)
		;
	*ret_n = n - len;
	return line + len;
}

void probe_grpc_field(struct probe_grpc_answer *a, const char *line, size_t n)
{
	const char *value;
	size_t len, out = 0;

	value = value_of(line, n, "grpc-status", &len);
	if (value) {
		a->status = 0;
		for (size_t i = 0; i < len && i < 4; i++)
			if (value[i] >= '0' && value[i] <= '9')
				a->status = a->status * 10 + (value[i] - '0');
		if (len == 0 || len > 3)
			a->status = -1;
	}
	value = value_of(line, n, "grpc-message", &len);
	for (size_t i = 0; value && i < len && out + 1 < sizeof(a->said); i++)
		if (value[i] >= ' ' && value[i] < 0x7f)
			a->said[out++] = value[i];
	if (value)
		a->said[out] = '\0';
}

/* A varint of a message; false when it is cut or too long. */
static bool read_varint(const uint8_t **p, const uint8_t *end, uint64_t *ret)
{
	*ret = 0;
	for (unsigned shift = 0; *p < end && shift < 64; shift += 7) {
		uint8_t byte = *(*p)++;

		*ret |= (uint64_t)(byte & 127) << shift;
		if (!(byte & 128))
			return true;
	}
	return false;
}

/* Steps over a field's value. */
static bool skip(const uint8_t **p, const uint8_t *end, unsigned type)
{
	uint64_t n = 0;

	if (type == 0)
		return read_varint(p, end, &n);
	if (type == 2 && !read_varint(p, end, &n))
		return false;
	n = type == 1 ? 8 : type == 5 ? 4 : n;
	if ((type != 1 && type != 2 && type != 5) || n > (uint64_t)(end - *p))
		return false;
	*p += n;
	return true;
}

/* HealthCheckResponse.status: field 1; what is left out is 0. False: this is no such message. */
static bool read_status(const uint8_t *body, size_t len, uint64_t *ret)
{
	const uint8_t *p = body, *end;
	uint64_t n, tag;

	if (len < FRAME || body[0] != 0)
		return false;
	n = (uint64_t)body[1] << 24 | (uint64_t)body[2] << 16 | (uint64_t)body[3] << 8 | body[4];
	if (n > len - FRAME)
		return false;
	p += FRAME;
	end = p + n;
	*ret = 0;
	while (p < end) {
		if (!read_varint(&p, end, &tag))
			return false;
		if (tag == FIELD_1_INT ? !read_varint(&p, end, ret)
				       : !skip(&p, end, (unsigned)(tag & 7)))
			return false;
	}
	return true;
}

static const char *code_name(int status)
{
	static const char *const names[] = {"OK",
					    "CANCELLED",
					    "UNKNOWN",
					    "INVALID_ARGUMENT",
					    "DEADLINE_EXCEEDED",
					    "NOT_FOUND",
					    "ALREADY_EXISTS",
					    "PERMISSION_DENIED",
					    "RESOURCE_EXHAUSTED",
					    "FAILED_PRECONDITION",
					    "ABORTED",
					    "OUT_OF_RANGE",
					    "UNIMPLEMENTED",
					    "INTERNAL",
					    "UNAVAILABLE",
					    "DATA_LOSS",
					    "UNAUTHENTICATED"};

	return (size_t)status < ARRAY_SIZE(names) ? names[status] : "unknown code";
}

static void say_failure(const struct probe_grpc_answer *a, const char *service, char *message,
			size_t n)
{
	if (a->status == 12)
		snprintf(message, n, "gRPC UNIMPLEMENTED: it has no health service");
	else if (a->status == 5 && service[0])
		snprintf(message, n, "gRPC NOT_FOUND: it knows no service \"%.60s\"", service);
	else
		snprintf(message, n, "gRPC %s%s%s", code_name(a->status), a->said[0] ? ": " : "",
			 a->said);
}

bool probe_grpc_judge(const struct probe_grpc_answer *a, const char *service, char *message,
		      size_t n)
{
	static const char *const names[] = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};
	uint64_t status;

	if (a->status > 0) {
		say_failure(a, service, message, n);
		return false;
	}
	if (a->http_status != 200 || a->status < 0) {
		snprintf(message, n, "HTTP %d, not a gRPC answer", a->http_status);
		return false;
	}
	if (!read_status(a->body, a->len, &status)) {
		snprintf(message, n, "not an answer of the health service");
		return false;
	}
	snprintf(message, n, "%s", status < ARRAY_SIZE(names) ? names[status] : "unknown status");
	return status == SERVING;
}
