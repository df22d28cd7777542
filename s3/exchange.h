/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One HTTP request and its answer on a libcurl easy handle, and the pool those handles come from. Private to s3/.
 *
 * Everything here belongs to one transfer thread; callbacks run inside curl_multi_perform. */
#ifndef S3B_EXCHANGE_H
#define S3B_EXCHANGE_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "s3/base/strbuf.h"
#include "s3/s3.h"
#include "s3/wire.h"

struct exchange_pool {
	CURLM *multi;                /* borrowed */
	CURLSH *share;               /* borrowed; TLS sessions */
	const char *user_agent;      /* borrowed */
	int64_t connect_timeout_ms;
	CURL **idle;                 /* handles with the unchanging options set */
	size_t idle_count, idle_capacity;
	bool ready;                  /* something was started: libcurl has work without waiting */
};

int exchange_pool_init(struct exchange_pool *p, size_t idle_capacity); /* 0 or -ENOMEM; the borrowed fields stay */
void exchange_pool_clear(struct exchange_pool *p);

struct exchange;

/* Answers of the callbacks below, instead of a number of bytes. */
#define EXCHANGE_PAUSE ((size_t)-1) /* nothing taken or given; exchange_resume_* is called when it can go on */
#define EXCHANGE_STOP ((size_t)-2)  /* end the exchange with an error; exchange_violation says which */

struct exchange_ops {
	/* LEN bytes of the object: LEN, EXCHANGE_PAUSE or EXCHANGE_STOP. */
	size_t (*data)(struct exchange *x, const void *bytes, size_t len);
	/* Up to LEN bytes of the request's body, never 0: a number, EXCHANGE_PAUSE or EXCHANGE_STOP. */
	size_t (*body)(struct exchange *x, void *buf, size_t len);
	/* A kept connection turned out dead: libcurl wants to send the body again from its start. */
	bool (*rewind)(struct exchange *x);
};

struct exchange {
	const struct exchange_ops *ops;
	void *owner;
	struct s3_request *request;  /* gets the result */
	struct wire_request wire;    /* filled by whoever starts the exchange; owned here from then on */
	uint64_t body_bytes;         /* what the request sends */
	size_t receive_buffer_bytes; /* 0: libcurl's default */

	struct exchange_pool *pool;
	CURL *easy;                  /* NULL: not running */
	struct curl_slist *headers;  /* an array of nodes that point into wire */
	int http_status;             /* 0: no answer yet */
	bool answer_complete;        /* status line and header are whole */
	bool body_begun, body_is_data;
	bool answer_suffices;        /* ended by us, because what came tells what went wrong */
	bool receive_paused, send_paused;
	const char *violation;       /* static sentence: why a callback ended the exchange */
	struct strbuf answer;        /* a body that is not an object's bytes */
	uint64_t received_bytes;     /* header and body, as the callbacks saw them */
	int64_t first_byte_us;
	char detail[CURL_ERROR_SIZE];

	/* Set by exchange_finish. */
	uint64_t body_sent_bytes, body_received_bytes;
	uint32_t rtt_us;
	bool new_connection;
};

/* X is zero but for the fields up to receive_buffer_bytes. False: request->result says why, X is released. */
bool exchange_start(struct exchange *x, struct exchange_pool *pool);
/* libcurl has ended it with CODE: takes measurements, fills request->result, releases. */
void exchange_finish(struct exchange *x, CURLcode code);
/* Ends it now; a connection in use is closed. request->result is left alone. Allowed when not running. */
void exchange_abort(struct exchange *x);

static inline bool exchange_is_running(const struct exchange *x)
{
	return x->easy != NULL;
}

/* Ends the exchange from within a callback: returns EXCHANGE_STOP. WHY is a static sentence. */
size_t exchange_violation(struct exchange *x, const char *why);
/* Of libcurl's buffers. */
size_t exchange_memory_bytes(const struct exchange *x);
/* Grows whenever a byte moves in either direction. */
uint64_t exchange_moved_bytes(const struct exchange *x);
void exchange_pause_receive(struct exchange *x);
/* These may call back into the exchange before they return. */
void exchange_resume_receive(struct exchange *x);
void exchange_resume_send(struct exchange *x);

/* Makes R's result an error that nobody answered. WHY may be NULL: the class says enough. */
void exchange_result_fail(struct s3_request *r, enum s3_error error, const char *why);

#endif
