/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From objects through the ring into a PUT. */
#include "s3/relay.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "s3/attempt.h"
#include "s3/base/clock.h"
#include "s3/request.h"

/* Smaller rings would be emptied by every callback of libcurl (16 KiB). */
#define MIN_RING_BYTES ((size_t)64 << 10)
/* Below this a send costs more than what it carries. */
#define MAX_LOW_BYTES ((size_t)128 << 10)
#define MAX_RECEIVE_BUFFER_BYTES ((size_t)512 << 10)
/* Many small ones run at once, and memory bounds how many. */
#define SMALL_BODY_BYTES ((uint64_t)1 << 20)
#define SMALL_RECEIVE_BUFFER_BYTES ((size_t)32 << 10)

static bool needs_get(const struct s3_segment *seg)
{
	return seg->kind == S3_SEGMENT_OBJECT && seg->length_bytes > 0;
}

static size_t ring_size(const struct s3_request *r)
{
	size_t size = r->ring_bytes ? r->ring_bytes : S3_RING_BYTES;
	uint64_t needed = 0;

	for (size_t i = 0; i < r->segment_count; i++)
		if (needs_get(&r->segments[i]))
			needed += r->segments[i].length_bytes;
	if (size < MIN_RING_BYTES)
		size = MIN_RING_BYTES;
	if (size > S3_RING_BYTES)
		size = S3_RING_BYTES;
	return needed < size ? (size_t)needed : size;
}

int relay_open(struct attempt *a)
{
	struct relay *relay = calloc(1, sizeof(*relay));

	if (!relay)
		return -ENOMEM;
	if (ring_open(&relay->ring, &a->env->rings, ring_size(a->request)) < 0) {
		free(relay);
		return -ENOMEM;
	}
	relay->low_bytes = relay->ring.capacity_bytes / 4;
	if (relay->low_bytes > MAX_LOW_BYTES)
		relay->low_bytes = MAX_LOW_BYTES;
	a->relay = relay;
	return 0;
}

void relay_close(struct attempt *a)
{
	struct relay *relay = a->relay;

	if (!relay)
		return;
	exchange_abort(&relay->get);
	s3_result_clear(&relay->source.result);
	ring_close(&relay->ring, &a->env->rings);
	free(relay);
	a->relay = NULL;
}

/* ------------------------------------------------------------------------------------------------ callbacks */

static void wake_put(struct attempt *a)
{
	if (a->main.send_paused)
		exchange_resume_send(&a->main);
}

/* May the GET go on: does what libcurl can read at once, or all that is still to come, fit? */
static bool has_room(const struct relay *relay)
{
	size_t room = ring_free(&relay->ring);

	return room >= relay->get.receive_buffer_bytes || room >= relay->source_left_bytes;
}

static size_t on_source_data(struct exchange *x, const void *bytes, size_t len)
{
	struct attempt *a = x->owner;
	struct relay *relay = a->relay;
	struct ring *ring = &relay->ring;

	if (atomic_load_explicit(&a->cancelled, memory_order_relaxed))
		return EXCHANGE_STOP;
	if (len > relay->source_left_bytes)
		return exchange_violation(x, "more bytes came than were asked for");
	/* Known before the first byte is passed on: then the destination need not be touched at all. */
	if (relay->source.result.wire.has_length && relay->source.result.wire.length_bytes !=
						     a->request->segments[relay->segment].length_bytes)
		return exchange_violation(x, "the object is not as long as expected");
	if (!relay->put_wanted) {
		if (!attempt_may_go_on(a))
			return EXCHANGE_STOP;
		relay->put_wanted = true;
		attempt_wait(a);
	}
	if (len > ring_free(ring)) {
		wake_put(a);
		return EXCHANGE_PAUSE;
	}
	ring_write(ring, bytes, len);
	relay->source_left_bytes -= len;
	/* Pausing here rather than when it no longer fits saves libcurl from keeping, and copying, what it has read
	 * already. Never after the last byte: a paused exchange does not end. */
	if (!has_room(relay) && !x->receive_paused)
		exchange_pause_receive(x);
	if (ring_used(ring) >= relay->low_bytes || x->receive_paused)
		wake_put(a);
	return len;
}

size_t relay_body(struct attempt *a, void *buf, size_t len)
{
	struct relay *relay = a->relay;
	struct exchange *get = &relay->get;
	bool get_runs = exchange_is_running(get);
	size_t n;

	if (get_runs && !get->receive_paused && !relay->trickles && body_at_object(&a->body) &&
	    ring_used(&relay->ring) < relay->low_bytes)
		return EXCHANGE_PAUSE;
	relay->trickles = false;
	n = body_read(&a->body, buf, len, get_runs ? 1 : 0);
	if (get->receive_paused && has_room(relay))
		exchange_resume_receive(get);
	if (n > 0 || body_at_end(&a->body))
		return n;
	assert(get_runs);
	return EXCHANGE_PAUSE;
}

static const struct exchange_ops source_ops = {
	.data = on_source_data,
};

/* -------------------------------------------------------------------------------------------------- sources */

static size_t receive_buffer(const struct relay *relay, uint64_t length_bytes, bool is_all)
{
	size_t size = (size_t)16 << 10;
	size_t most = length_bytes < SMALL_BODY_BYTES ? SMALL_RECEIVE_BUFFER_BYTES : MAX_RECEIVE_BUFFER_BYTES;

	/* The answer's header takes a place too. */
	while (size < length_bytes + 4096 && size < most)
		size *= 2;
	/* Half a ring: while one half is sent, the other is filled. */
	while ((!is_all || length_bytes > relay->ring.capacity_bytes) && size > relay->ring.capacity_bytes / 2 && size > 16384)
		size /= 2;
	return size;
}

static void start_source(struct attempt *a)
{
	struct relay *relay = a->relay;
	const struct s3_segment *seg = &a->request->segments[relay->segment];
	int rc;

	s3_result_clear(&relay->source.result);
	relay->source = wire_segment_request(seg);
	relay->source.result.retry_after_ms = -1;
	relay->get = (struct exchange){
		.ops = &source_ops,
		.owner = a,
		.request = &relay->source,
		.receive_buffer_bytes = receive_buffer(relay, seg->length_bytes, a->request->segment_count == 1),
	};
	relay->source_left_bytes = seg->length_bytes;
	rc = wire_build_segment_get(seg, clock_realtime().tv_sec, &relay->get.wire);
	if (rc < 0) {
		exchange_result_fail(&relay->source, rc == -ENOMEM ? S3_ERR_NO_MEMORY : S3_ERR_INVALID, NULL);
		attempt_source_failed(a);
		return;
	}
	if (!exchange_start(&relay->get, &a->env->exchanges))
		attempt_source_failed(a);
}

static bool find_segment(const struct s3_request *r, size_t *index)
{
	while (*index < r->segment_count && !needs_get(&r->segments[*index]))
		++*index;
	return *index < r->segment_count;
}

void relay_start(struct attempt *a)
{
	bool found = find_segment(a->request, &a->relay->segment);

	assert(found);
	(void)found;
	start_source(a);
}

void relay_source_done(struct attempt *a, CURLcode code)
{
	struct relay *relay = a->relay;

	exchange_finish(&relay->get, code);
	relay->received_bytes += relay->get.body_received_bytes;
	if (relay->first_byte_us == 0)
		relay->first_byte_us = relay->get.first_byte_us;
	if (relay->source.result.error == S3_OK && relay->source_left_bytes > 0)
		exchange_result_fail(&relay->source, S3_ERR_PROTOCOL, "fewer bytes came than were asked for");
	if (relay->source.result.error != S3_OK) {
		attempt_source_failed(a);
		return;
	}
	relay->segment++;
	if (find_segment(a->request, &relay->segment))
		start_source(a);
	if (!a->is_finished)
		wake_put(a);
}

void relay_tick(struct attempt *a)
{
	struct relay *relay = a->relay;

	if (!a->main.send_paused || ring_used(&relay->ring) < 2)
		return;
	relay->trickles = true;
	wake_put(a);
}
