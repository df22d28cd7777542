/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A transfer thread: one libcurl multi handle with its connections, and the attempts that run on it. Private to s3/. */
#ifndef S3B_TRANSFER_H
#define S3B_TRANSFER_H

#include <curl/curl.h>
#include <stddef.h>
#include <stdint.h>

#include "s3/attempt.h"
#include "s3/s3.h"

struct transfer;

struct transfer_config {
	unsigned max_connections;
	int64_t connect_timeout_ms;
	int64_t stall_timeout_ms;
	const char *user_agent; /* borrowed */
	CURLSH *share;          /* borrowed */
	/* Gets finished requests, linked by ->next from FIRST to LAST, on the transfer thread. */
	void (*deliver)(void *arg, struct s3_request *first, struct s3_request *last);
	void *arg;
};

/* Starts the thread. NULL: out of memory or threads. */
struct transfer *transfer_new(const struct transfer_config *config);
/* Ends the thread, closes its connections. Nothing may be in flight. */
void transfer_free(struct transfer *t);

/* A belongs to the thread until its request is delivered. Any thread; these do not wait. */
void transfer_submit(struct transfer *t, struct attempt *a);
void transfer_cancel(struct transfer *t, struct attempt *a);

#endif
