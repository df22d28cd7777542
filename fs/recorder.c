/* SPDX-License-Identifier: GPL-3.0-or-later */
/* When the scheduler is read. */
#include "fs/recorder.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS       1000
#define TICK_LEAST_MS 200 /* a shorter sample would show the ends of single requests as peaks */

struct recorder {
	struct sched *sched;
	pthread_mutex_t lock; /* for all below; nothing that calls back runs under it */
	bool recording;       /* a tick will come */
	struct history *history;
	struct sched_stats stats;
	struct sched_engine_stats engine;
	struct sched_memory_stats memory;
};

static struct history_reading read_locked(struct recorder *r)
{
	sched_stats(r->sched, &r->stats);
	sched_engine_stats(r->sched, &r->engine);
	sched_memory_stats(sched_memory_of(r->sched), &r->memory);
	return (struct history_reading){
		.at_ms = sched_now_ms(r->sched),
		.stats = &r->stats,
		.engine = &r->engine,
		.memory = &r->memory,
	};
}

static bool is_working(const struct sched_stats *s)
{
	bool working = s->jobs_active > 0;

	for (int c = 0; c < SCHED_CLASS__COUNT; c++)
		working = working || s->queued[c] > 0 || s->running[c] > 0;
	return working;
}

static void begin(void *arg);

static void tick(void *arg)
{
	struct recorder *r = arg;
	struct history_reading now;
	bool goes_on;

	pthread_mutex_lock(&r->lock);
	now = read_locked(r);
	history_add(r->history, &now);
	goes_on = r->recording = is_working(&r->stats);
	pthread_mutex_unlock(&r->lock);
	if (goes_on)
		sched_after(r->sched, TICK_MS, tick, r);
	else
		sched_on_busy(r->sched, begin, r);
}

static void begin(void *arg)
{
	struct recorder *r = arg;
	struct history_reading now;

	pthread_mutex_lock(&r->lock);
	now = read_locked(r);
	history_begin(r->history, &now);
	r->recording = true;
	pthread_mutex_unlock(&r->lock);
	sched_after(r->sched, TICK_MS, tick, r);
}

struct recorder *recorder_new(struct sched *sched)
{
	struct recorder *r = calloc(1, sizeof(*r));

	if (r)
		r->history = calloc(1, sizeof(*r->history));
	if (!r || !r->history) {
		free(r);
		return NULL;
	}
	r->sched = sched;
	pthread_mutex_init(&r->lock, NULL);
	history_init(r->history);
	sched_on_busy(sched, begin, r);
	return r;
}

void recorder_free(struct recorder *r)
{
	if (!r)
		return;
	pthread_mutex_destroy(&r->lock);
	free(r->history);
	free(r);
}

struct history *recorder_history(struct recorder *r)
{
	struct history *copy = malloc(sizeof(*copy));
	struct history_reading now;

	if (!copy)
		return NULL;
	pthread_mutex_lock(&r->lock);
	if (r->recording && sched_now_ms(r->sched) - r->history->last_ms >= TICK_LEAST_MS) {
		now = read_locked(r);
		history_add(r->history, &now);
	}
	memcpy(copy, r->history, sizeof(*copy));
	pthread_mutex_unlock(&r->lock);
	return copy;
}
