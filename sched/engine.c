/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the engine knows and has decided, for those who look. */
#include <assert.h>
#include <string.h>

#include "sched/internal.h"

#define PUBLISH_EVERY_MS 100
#define GOODPUT_STALE_MS 2000

const char *sched_direction_name(enum sched_direction d)
{
	static const char *const names[SCHED_DIRECTION__COUNT] = {"read", "write"};

	assert((unsigned)d < SCHED_DIRECTION__COUNT);
	return names[d];
}

const char *sched_band_name(enum sched_band b)
{
	static const char *const names[SCHED_BAND__COUNT] = {"unknown", "excellent", "good", "fair", "poor"};

	assert((unsigned)b < SCHED_BAND__COUNT);
	return names[b];
}

static void publish_paths(struct sched *s, struct sched_engine_stats *out)
{
	struct net_endpoint *e;
	unsigned d;

	out->path_count = 0;
	for (e = s->net.endpoints; e; e = e->hh.next)
		for (d = 0; d < SCHED_DIRECTION__COUNT; d++)
			if (e->paths[d].requests > 0 && out->path_count < SCHED_PATHS_MAX)
				net_path_stats(&e->paths[d], s->now_ms * 1000, &out->paths[out->path_count++]);
}

/* Under the lock of what is published. */
void engine_publish(struct sched *s)
{
	struct sched_engine_stats *out = &s->published_engine;

	if (out->at_ms > 0 && s->now_ms - s->engine_published_ms < PUBLISH_EVERY_MS && s->in_flight > 0)
		return;
	s->engine_published_ms = out->at_ms = s->now_ms;
	out->priority_queues = !s->config.no_priority_queues;
	out->dynamic_memory = !s->config.no_dynamic_memory;
	out->streaming_optimizer = !s->config.no_streaming_optimizer;
	out->network_monitor = !s->config.no_network_monitor;
	publish_paths(s, out);
}

void sched_engine_stats(struct sched *s, struct sched_engine_stats *out)
{
	unsigned i;

	pthread_mutex_lock(&s->published_lock);
	*out = s->published_engine;
	pthread_mutex_unlock(&s->published_lock);
	/* The scheduler sleeps when nothing moves, and then nobody counts the rate down. */
	if (sched_now_ms(s) - out->at_ms > GOODPUT_STALE_MS)
		for (i = 0; i < out->path_count; i++)
			out->paths[i].goodput_bytes_per_s = 0;
}
