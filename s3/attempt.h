/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One request being carried out: its exchange with the server and, when its body comes from other objects, the relay
 * that feeds it. Private to s3/. Everything runs on one transfer thread; only `cancelled` is set by others, too. */
#ifndef S3B_ATTEMPT_H
#define S3B_ATTEMPT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "s3/body.h"
#include "s3/exchange.h"
#include "s3/ring.h"
#include "s3/s3.h"

struct attempt;
struct relay;

/* What the attempts of one thread share. */
struct attempt_env {
	struct exchange_pool exchanges;
	struct ring_pool rings;
	int64_t stall_timeout_ms;
	struct attempt *waiting;  /* have something to do outside of libcurl's callbacks */
	struct attempt *finished; /* not yet collected */
};

struct attempt {
	struct s3_request *request;
	atomic_bool cancelled;       /* by the scheduler thread, or by the transfer thread when a race is lost */

	struct attempt *prev, *next; /* the thread's list of running attempts */
	struct attempt *waiting_next, *finished_next;
	bool is_waiting;
	bool is_finished;            /* request->result is complete, nothing is held any more */

	struct attempt_env *env;
	struct exchange main;        /* the request itself; in a relay the PUT */
	struct relay *relay;         /* NULL: no OBJECT segments */
	struct s3_segment document;  /* a body that wire_build wrote */
	struct body body;

	uint64_t moved_bytes;        /* at the last tick that saw progress */
	int64_t moved_us;            /* when that was */
};

/* A->request is set, the rest is zero. May finish at once. */
void attempt_start(struct attempt *a, struct attempt_env *env);
/* libcurl has ended exchange X of A. */
void attempt_exchange_done(struct attempt *a, struct exchange *x, CURLcode code);
/* Does what A waits for, outside of callbacks. */
void attempt_continue(struct attempt *a);
/* Ends it with S3_ERR_CANCELLED. */
void attempt_cancel(struct attempt *a);
/* About once a second. */
void attempt_tick(struct attempt *a, int64_t now_us);

/* For relay.c: */
void attempt_wait(struct attempt *a);     /* asks for attempt_continue; in callbacks */
void attempt_start_main(struct attempt *a);
/* At the first byte: false, and A is cancelled, when another request has won the race. */
bool attempt_may_go_on(struct attempt *a);
/* The GET side has failed: its result becomes the request's. */
void attempt_source_failed(struct attempt *a);

#endif
