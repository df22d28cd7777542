/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Samples of a run: how they are made of readings, and merged when there are too many. */
#include "fs/history.h"

#include <assert.h>
#include <string.h>

static_assert(sizeof(struct history) < (size_t)1 << 20, "the history of a run stays below 1 MiB");

void history_init(struct history *h)
{
	h->interval_ms = HISTORY_INTERVAL_MS;
}

/* ----------------------------------------------------------------------------------------------------- merging */

/* A is for WA milliseconds (or changes), B for WB. */
static double weighted(double a, double wa, double b, double wb)
{
	return wa + wb > 0 ? (a * wa + b * wb) / (wa + wb) : 0;
}

/* Of two values where 0 means unknown. */
static uint32_t least_known(uint32_t a, uint32_t b)
{
	if (a == 0 || b == 0)
		return a ? a : b;
	return a < b ? a : b;
}

static void merge_class(struct history_class *a, double wa, const struct history_class *b, double wb)
{
	a->running = (float)weighted(a->running, wa, b->running, wb);
	a->queued = (float)weighted(a->queued, wa, b->queued, wb);
	a->slots = (float)weighted(a->slots, wa, b->slots, wb);
	a->p50_ms = (uint32_t)(weighted(a->p50_ms, a->changes, b->p50_ms, b->changes) + 0.5);
	a->p90_ms = (uint32_t)(weighted(a->p90_ms, a->changes, b->p90_ms, b->changes) + 0.5);
	a->p99_ms = (uint32_t)(weighted(a->p99_ms, a->changes, b->p99_ms, b->changes) + 0.5);
	a->changes += b->changes;
}

static void merge_path(struct history_path *a, double wa, const struct history_path *b, double wb)
{
	double known_a = a->rtt_mean_us ? wa : 0, known_b = b->rtt_mean_us ? wb : 0;

	a->rtt_us = least_known(a->rtt_us, b->rtt_us);
	a->rtt_mean_us = (uint32_t)(weighted(a->rtt_mean_us, known_a, b->rtt_mean_us, known_b) + 0.5);
	a->limit = (float)weighted(a->limit, wa, b->limit, wb);
	a->in_flight = (float)weighted(a->in_flight, wa, b->in_flight, wb);
	a->bytes += b->bytes;
	a->requests += b->requests;
	a->errors += b->errors;
	a->throttled += b->throttled;
}

/* A becomes both, and what idle time there was between them. */
static void merge(struct history_sample *a, const struct history_sample *b)
{
	double wa = (double)(a->end_ms - a->start_ms), wb = (double)(b->end_ms - b->start_ms);

	assert(b->start_ms >= a->end_ms);
	a->end_ms = b->end_ms;
	for (int i = 0; i < HISTORY_TRAFFIC__COUNT; i++)
		a->bytes[i] += b->bytes[i];
	if (b->memory_bytes > a->memory_bytes)
		a->memory_bytes = b->memory_bytes;
	a->done += b->done;
	a->failed += b->failed;
	a->retries += b->retries;
	a->throttled += b->throttled;
	for (int i = 0; i < SCHED_CLASS__COUNT; i++)
		merge_class(&a->classes[i], wa, &b->classes[i], wb);
	for (int i = 0; i < HISTORY_PATHS; i++)
		merge_path(&a->paths[i], wa, &b->paths[i], wb);
}

/* Neighbours become one where both together are no longer than the interval. */
static void merge_neighbours(struct history *h)
{
	size_t kept = 0;

	for (size_t i = 0; i < h->count; kept++) {
		if (kept != i)
			h->samples[kept] = h->samples[i];
		i++;
		if (i < h->count && h->samples[i].end_ms - h->samples[kept].start_ms <= h->interval_ms)
			merge(&h->samples[kept], &h->samples[i++]);
	}
	h->count = kept;
}

static void append(struct history *h, const struct history_sample *s)
{
	struct history_sample *newest = h->count ? &h->samples[h->count - 1] : NULL;

	if (newest && s->end_ms - newest->start_ms <= h->interval_ms) {
		merge(newest, s);
		return;
	}
	/* Short samples with idle time between them may need an interval much longer than they are. */
	while (h->count == HISTORY_SAMPLES) {
		h->interval_ms *= 2;
		merge_neighbours(h);
	}
	h->samples[h->count++] = *s;
}

/* ---------------------------------------------------------------------------------------------------- readings */

/* How far a counter went on; remembers where it is. */
static uint64_t advance(uint64_t *last, uint64_t now)
{
	uint64_t by = now - *last;

	*last = now;
	return by;
}

static void read_totals(struct history *h, const struct history_reading *r, struct history_sample *s)
{
	const struct sched_stats *st = r->stats;
	const uint64_t bytes[HISTORY_TRAFFIC__COUNT] = {
		[HISTORY_COPIED] = st->copied_bytes,
		[HISTORY_UPLOADED] = st->uploaded_bytes,
		[HISTORY_DOWNLOADED] = st->downloaded_bytes,
		[HISTORY_SERVER_COPIED] = st->server_copied_bytes,
	};

	for (int i = 0; i < HISTORY_TRAFFIC__COUNT; i++)
		s->bytes[i] = advance(&h->last_bytes[i], bytes[i]);
	s->done = (uint32_t)advance(&h->last_done, st->jobs_done);
	s->failed = (uint32_t)advance(&h->last_failed, st->jobs_failed);
	s->retries = (uint32_t)advance(&h->last_retries, st->retries);
	s->throttled = (uint32_t)advance(&h->last_throttled, st->throttled);
	for (int i = 0; i < SCHED_MEMORY__COUNT; i++)
		s->memory_bytes += r->memory->used_bytes[i];
}

static void read_class(struct history *h, const struct history_reading *r, unsigned c, struct history_class *out)
{
	const struct sched_latency *now = &r->engine->classes[c].latency;
	struct sched_latency *last = &h->last_latency[c], during;

	for (unsigned i = 0; i < SCHED_LATENCY_BUCKETS; i++) {
		during.counts[i] = now->counts[i] - last->counts[i];
		out->changes += during.counts[i];
	}
	*last = *now;
	out->p50_ms = (uint32_t)sched_latency_ms(&during, 50);
	out->p90_ms = (uint32_t)sched_latency_ms(&during, 90);
	out->p99_ms = (uint32_t)sched_latency_ms(&during, 99);
	out->running = (float)r->stats->running[c];
	out->queued = (float)r->stats->queued[c];
	out->slots = (float)r->stats->slots[c];
}

/* The place of a path, which stays its own; HISTORY_PATHS: there is none left. */
static unsigned place_of(struct history *h, const struct sched_path_stats *p)
{
	unsigned i;

	for (i = 0; i < h->path_count; i++)
		if (h->paths[i].direction == p->direction && !strcmp(h->paths[i].endpoint, p->endpoint))
			return i;
	if (i == HISTORY_PATHS)
		return i;
	h->path_count++;
	static_assert(sizeof(h->paths[i].endpoint) == sizeof(p->endpoint), "a name fits");
	memcpy(h->paths[i].endpoint, p->endpoint, sizeof(p->endpoint));
	h->paths[i].direction = p->direction;
	return i;
}

static void read_paths(struct history *h, const struct history_reading *r, struct history_sample *s)
{
	h->paths_left_out = 0;
	for (unsigned k = 0; k < r->engine->path_count; k++) {
		const struct sched_path_stats *p = &r->engine->paths[k];
		unsigned i = place_of(h, p);
		struct history_path *out = &s->paths[i];

		if (i == HISTORY_PATHS) {
			h->paths_left_out++;
			continue;
		}
		out->bytes = advance(&h->paths[i].bytes, p->bytes);
		out->requests = (uint32_t)advance(&h->paths[i].requests, p->requests);
		out->errors = (uint32_t)advance(&h->paths[i].errors, p->errors);
		out->throttled = (uint32_t)advance(&h->paths[i].throttled, p->throttled);
		out->limit = (float)p->limit;
		out->in_flight = (float)p->in_flight;
		/* What was measured before is no news. */
		if (out->requests > 0 || p->in_flight > 0) {
			out->rtt_us = p->rtt_us;
			out->rtt_mean_us = p->rtt_mean_us;
		}
	}
}

static struct history_sample read_all(struct history *h, const struct history_reading *r)
{
	struct history_sample s = {.start_ms = h->last_ms, .end_ms = r->at_ms};

	read_totals(h, r, &s);
	for (unsigned c = 0; c < SCHED_CLASS__COUNT; c++)
		read_class(h, r, c, &s.classes[c]);
	read_paths(h, r, &s);
	h->last_ms = r->at_ms;
	h->has_last = true;
	return s;
}

void history_begin(struct history *h, const struct history_reading *r)
{
	if (!h->has_last || r->at_ms >= h->last_ms)
		read_all(h, r);
}

void history_add(struct history *h, const struct history_reading *r)
{
	struct history_sample s;

	if (!h->has_last) {
		history_begin(h, r);
		return;
	}
	if (r->at_ms <= h->last_ms)
		return;
	s = read_all(h, r);
	append(h, &s);
}
