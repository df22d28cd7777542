/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The course of one request: start, feed, finish, fail. */
#include "s3/attempt.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "s3/base/clock.h"
#include "s3/relay.h"

#define LARGE_RECEIVE_BUFFER_BYTES ((uint64_t)512 << 10)

/* Everything that was held goes back; the result stands. */
static void finish(struct attempt *a)
{
	struct s3_result *res = &a->request->result;

	exchange_abort(&a->main);
	res->sent_bytes = a->main.body_sent_bytes;
	res->received_bytes = a->main.body_received_bytes;
	res->first_byte_us = a->main.first_byte_us;
	res->rtt_us = a->main.rtt_us;
	res->new_connection = a->main.new_connection;
	if (a->relay) {
		exchange_abort(&a->relay->get);
		res->received_bytes += a->relay->received_bytes;
		if (a->relay->first_byte_us)
			res->first_byte_us = a->relay->first_byte_us;
		res->memory_bytes = a->relay->ring.most_bytes + exchange_memory_bytes(&a->relay->get) +
				    exchange_memory_bytes(&a->main);
		relay_close(a);
	}
	res->finished_us = clock_monotonic_us();
	a->is_finished = true;
	a->finished_next = a->env->finished;
	a->env->finished = a;
}

/* ------------------------------------------------------------------------------------------------ callbacks */

bool attempt_may_go_on(struct attempt *a)
{
	bool wins = s3_request_wins(a->request);

	if (!wins)
		atomic_store_explicit(&a->cancelled, true, memory_order_relaxed);
	return wins;
}

static size_t on_data(struct exchange *x, const void *bytes, size_t len)
{
	struct attempt *a = x->owner;
	struct s3_request *r = a->request;

	if (atomic_load_explicit(&a->cancelled, memory_order_relaxed))
		return EXCHANGE_STOP;
	if (r->delivered_bytes == 0 && !attempt_may_go_on(a))
		return EXCHANGE_STOP;
	if (r->length_bytes > 0 && len > r->length_bytes - r->delivered_bytes)
		return exchange_violation(x, "more bytes came than were asked for");
	if (r->on_data)
		r->on_data(r->on_data_arg, bytes, len);
	r->delivered_bytes += len;
	return len;
}

static size_t on_body(struct exchange *x, void *buf, size_t len)
{
	struct attempt *a = x->owner;

	if (atomic_load_explicit(&a->cancelled, memory_order_relaxed))
		return EXCHANGE_STOP;
	if (a->relay)
		return relay_body(a, buf, len);
	return body_read(&a->body, buf, len, 0);
}

static bool on_rewind(struct exchange *x)
{
	struct attempt *a = x->owner;

	return body_rewind(&a->body);
}

static const struct exchange_ops main_ops = {
	.data = on_data,
	.body = on_body,
	.rewind = on_rewind,
};

/* ---------------------------------------------------------------------------------------------------- start */

static bool has_objects(const struct s3_request *r)
{
	for (size_t i = 0; i < r->segment_count; i++)
		if (r->segments[i].kind == S3_SEGMENT_OBJECT && r->segments[i].length_bytes > 0)
			return true;
	return false;
}

static bool may_have_segments(const struct s3_request *r)
{
	return r->op == S3_OP_PUT || r->op == S3_OP_UPLOAD_PART;
}

static size_t receive_buffer(const struct s3_request *r)
{
	uint64_t size = (uint64_t)16 << 10;

	if (r->op == S3_OP_GET) {
		while ((r->length_bytes == 0 || size < r->length_bytes) && size < LARGE_RECEIVE_BUFFER_BYTES)
			size *= 2;
	} else if (r->op == S3_OP_LIST || r->op == S3_OP_LIST_PARTS || r->op == S3_OP_LIST_UPLOADS) {
		size *= 4;
	}
	return (size_t)size;
}

static void fail_to_build(struct attempt *a, int rc)
{
	exchange_result_fail(a->request, rc == -ENOMEM ? S3_ERR_NO_MEMORY : S3_ERR_INVALID, NULL);
	finish(a);
}

void attempt_start_main(struct attempt *a)
{
	struct s3_request *r = a->request;
	int rc;

	a->main = (struct exchange){
		.ops = &main_ops,
		.owner = a,
		.request = r,
		.receive_buffer_bytes = receive_buffer(r),
	};
	rc = wire_build(r, clock_realtime().tv_sec, &a->main.wire);
	if (rc < 0) {
		fail_to_build(a, rc);
		return;
	}
	if (a->main.wire.has_segments) {
		body_init(&a->body, r->segments, r->segment_count, a->relay ? &a->relay->ring : NULL);
		a->main.body_bytes = s3_request_body_bytes(r);
	} else {
		a->document = (struct s3_segment){
			.kind = S3_SEGMENT_MEMORY,
			.length_bytes = a->main.wire.body_bytes,
			.memory = a->main.wire.body,
		};
		body_init(&a->body, &a->document, 1, NULL);
		a->main.body_bytes = a->document.length_bytes;
	}
	if (!exchange_start(&a->main, &a->env->exchanges))
		finish(a);
}

void attempt_start(struct attempt *a, struct attempt_env *env)
{
	struct s3_request *r = a->request;

	a->env = env;
	r->delivered_bytes = 0;
	r->result.started_us = clock_monotonic_us();
	a->moved_us = r->result.started_us;
	if (atomic_load_explicit(&a->cancelled, memory_order_relaxed)) {
		attempt_cancel(a);
		return;
	}
	if (!may_have_segments(r) || !has_objects(r)) {
		attempt_start_main(a);
		return;
	}
	if (relay_open(a) < 0)
		fail_to_build(a, -ENOMEM);
	else
		relay_start(a);
}

/* ---------------------------------------------------------------------------------------------------- on it */

void attempt_wait(struct attempt *a)
{
	if (a->is_waiting)
		return;
	a->is_waiting = true;
	a->waiting_next = a->env->waiting;
	a->env->waiting = a;
}

void attempt_continue(struct attempt *a)
{
	if (!a->is_finished && a->relay && a->relay->put_wanted && !exchange_is_running(&a->main))
		attempt_start_main(a);
}

static void main_done(struct attempt *a, CURLcode code)
{
	struct s3_request *r = a->request;

	exchange_finish(&a->main, code);
	if (r->result.error == S3_OK && !body_at_end(&a->body))
		exchange_result_fail(r, S3_ERR_PROTOCOL, "the server answered before it had the whole body");
	finish(a);
}

void attempt_exchange_done(struct attempt *a, struct exchange *x, CURLcode code)
{
	assert(!a->is_finished);
	if (code != CURLE_OK && atomic_load_explicit(&a->cancelled, memory_order_relaxed))
		attempt_cancel(a);
	else if (x == &a->main)
		main_done(a, code);
	else
		relay_source_done(a, code);
}

void attempt_source_failed(struct attempt *a)
{
	struct s3_result *res = &a->request->result;
	const struct s3_result *source = &a->relay->source.result;

	assert(source->error != S3_OK);
	res->error = source->error;
	res->source_failed = true;
	res->http_status = source->http_status;
	res->retry_after_ms = source->retry_after_ms;
	snprintf(res->code, sizeof(res->code), "%s", source->code);
	snprintf(res->message, sizeof(res->message), "%s", source->message);
	snprintf(res->bucket_region, sizeof(res->bucket_region), "%s", source->bucket_region);
	/* The PUT's connection is closed in the middle of the body: the server sees it cut short and keeps nothing. */
	finish(a);
}

void attempt_cancel(struct attempt *a)
{
	exchange_result_fail(a->request, S3_ERR_CANCELLED, NULL);
	finish(a);
}

/* A destination that is waiting for bytes, or not even asked yet, is not to blame. */
static bool source_is_late(const struct attempt *a)
{
	return a->relay && exchange_is_running(&a->relay->get) &&
	       (!exchange_is_running(&a->main) || a->main.send_paused);
}

static void time_out(struct attempt *a, const char *what, int64_t waited_us)
{
	char why[64];

	snprintf(why, sizeof(why), "%s for %lld s", what, (long long)waited_us / 1000000);
	if (source_is_late(a)) {
		wire_fail(&a->relay->source, CURLE_OPERATION_TIMEDOUT, why);
		attempt_source_failed(a);
	} else {
		wire_fail(a->request, CURLE_OPERATION_TIMEDOUT, why);
		finish(a);
	}
}

static bool awaits_first_byte(const struct attempt *a)
{
	enum s3_op op = a->request->op;

	if (a->relay)
		return !a->relay->put_wanted && a->relay->get.received_bytes == 0;
	return (op == S3_OP_GET || op == S3_OP_HEAD) && a->main.received_bytes == 0;
}

void attempt_tick(struct attempt *a, int64_t now_us)
{
	struct s3_request *r = a->request;
	int64_t limit_ms = r->stall_timeout_ms ? r->stall_timeout_ms : a->env->stall_timeout_ms;
	int64_t first_ms = r->first_byte_timeout_ms, waited_us = now_us - r->result.started_us;
	uint64_t moved = exchange_moved_bytes(&a->main);

	if (a->relay)
		moved += exchange_moved_bytes(&a->relay->get) + a->relay->segment;
	if (first_ms > 0 && waited_us > first_ms * 1000 && awaits_first_byte(a)) {
		time_out(a, "no answer", waited_us);
	} else if (moved != a->moved_bytes) {
		a->moved_bytes = moved;
		a->moved_us = now_us;
		if (a->relay)
			relay_tick(a);
	} else if (now_us - a->moved_us > limit_ms * 1000) {
		time_out(a, "no byte moved", now_us - a->moved_us);
	} else if (a->relay) {
		relay_tick(a);
	}
}
