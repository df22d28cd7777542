/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A small HTTP/1.1 server on the loopback for tests: a thread per connection, and rules that say how it misbehaves.
 * Objects are made of stub_byte(); what is PUT is kept and can be looked at. */
#ifndef S3B_TESTS_STUB_SERVER_H
#define S3B_TESTS_STUB_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STUB_HEADER_BYTES 16384

enum stub_fault {
	STUB_OK,
	STUB_STATUS,          /* answer `status`, after reading the body */
	STUB_STATUS_EARLY,    /* answer `status` when the header is in, then close without reading the body */
	STUB_STATUS_KEEPS,    /* PUT: the same after `delay_ms`, and the connection stays open */
	STUB_STATUS_CUT,      /* answer `status` with a body that is cut short */
	STUB_RESET,           /* no answer, RST */
	STUB_RESET_IN_BODY,   /* GET: RST after half of the body; PUT: after reading half of it */
	STUB_CLOSE_IN_BODY,   /* FIN in the same places */
	STUB_STALL,           /* GET: sends half and then nothing; PUT: reads half and then nothing */
	STUB_SLOW,            /* GET, PUT: 16 KiB a turn, `delay_ms` between */
	STUB_LATE,            /* answers `delay_ms` after the request is in */
	STUB_LONGER,          /* GET: one byte more than asked for, and says so */
	STUB_LONGER_CHUNKED,  /* GET: one byte more than asked for, without Content-Length */
	STUB_CHUNKED,         /* GET: right, without Content-Length */
	STUB_SHORTER,         /* GET: one byte less, and says so */
	STUB_OTHER_RANGE,     /* GET: the range one byte further on */
	STUB_IGNORES_RANGE,   /* GET: 200 and the whole object */
	STUB_DIES_ON_REUSE,   /* closes when a connection that has served before brings this request */
	STUB_NOT_HTTP,
	STUB_LONG_HEADER,     /* header lines without end */
};

struct stub_rule {
	const char *method;
	const char *key;      /* of the path "/bucket/KEY" */
	enum stub_fault fault;
	uint64_t size_bytes;  /* GET, HEAD: of the object */
	int status;
	const char *header;   /* more header lines, each with CRLF; may be NULL */
	const char *body;     /* of the answer; may be NULL */
	int delay_ms;
	int times;            /* how often the fault happens before the rule is as STUB_OK; 0: always */
};

/* What was received for a key, by PUT or POST. */
struct stub_upload {
	char key[128];
	char method[8];
	char query[256];
	char header[STUB_HEADER_BYTES]; /* of the request */
	unsigned char *body;
	uint64_t received_bytes;
	uint64_t promised_bytes; /* Content-Length */
	unsigned opened;         /* how many such requests came */
	unsigned completed;      /* and had their whole body */
};

struct stub_server;

/* RULES ends with an entry without method; borrowed, and written to (times). */
struct stub_server *stub_server_start(struct stub_rule *rules);
void stub_server_stop(struct stub_server *s);
unsigned stub_server_port(const struct stub_server *s);
unsigned stub_server_connections(struct stub_server *s);
/* NULL: none came. Valid until stop; look at it when no such request is running. */
const struct stub_upload *stub_server_upload(struct stub_server *s, const char *key);

/* Byte I of every object. */
static inline unsigned char stub_byte(uint64_t i)
{
	return (unsigned char)(i * 131 + (i >> 8) * 7 + (i >> 16));
}

#endif
