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

void engine_count_latency(struct sched *s, enum sched_class class, int64_t ms)
{
	uint64_t value = ms > 0 ? (uint64_t)ms : 0;
	unsigned octave = 0, bucket;

	/* Four buckets to the octave; the first four hold 0 to 3 ms. */
	while (value >> octave >= 8)
		octave++;
	bucket = value < 4 ? (unsigned)value : 4 * octave + (unsigned)(value >> octave);
	if (bucket >= SCHED_LATENCY_BUCKETS)
		bucket = SCHED_LATENCY_BUCKETS - 1;
	s->engine[class].latency.counts[bucket]++;
	s->engine[class].latency_count++;
}

int64_t sched_latency_ms(const struct sched_latency *l, unsigned percent)
{
	uint64_t count = 0, wanted, seen = 0;
	unsigned bucket;

	for (bucket = 0; bucket < SCHED_LATENCY_BUCKETS; bucket++)
		count += l->counts[bucket];
	if (count == 0)
		return 0;
	wanted = (count * percent + 99) / 100;
	for (bucket = 0; bucket + 1 < SCHED_LATENCY_BUCKETS; bucket++) {
		seen += l->counts[bucket];
		if (seen >= wanted)
			break;
	}
	return bucket < 8 ? (int64_t)bucket : (int64_t)((4 + bucket % 4 + 1) << (bucket / 4 - 1)) - 1;
}

static void publish_classes(const struct sched *s, struct sched_engine_stats *out)
{
	static const uint64_t usual_bytes[SCHED_CLASS__COUNT] = {
		[SCHED_HIGH] = 100000, [SCHED_MEDIUM] = 10000000, [SCHED_LOW] = 1000000000};
	unsigned c;

	for (c = 0; c < SCHED_CLASS__COUNT; c++) {
		const struct engine_class *ec = &s->engine[c];
		struct sched_class_stats *to = &out->classes[c];
		uint64_t others = 0, size = usual_bytes[c];
		unsigned other, workers = c == SCHED_LOW ? s->chunk_workers : 1;

		for (other = 0; other < SCHED_CLASS__COUNT; other++)
			others += other == c ? 0 : s->admit.floor_bytes[other];
		*to = (struct sched_class_stats){
			.queued = queue_length(&s->queue, c),
			.running = s->queue.classes[c].running,
			.slots = queue_slots(&s->queue, c),
			.memory_used_bytes = s->admit.used_bytes[c],
			.memory_waits = ec->waits,
			.memory_waited_ms = ec->waited_ms,
			.changes = ec->latency_count,
			.p50_ms = sched_latency_ms(&ec->latency, 50),
			.p90_ms = sched_latency_ms(&ec->latency, 90),
			.p99_ms = sched_latency_ms(&ec->latency, 99),
			.latency = ec->latency,
		};
		to->worker_bytes = admit_estimate(&s->admit, size, size, profile_estimate(&s->profiles, size, workers, 1)).bytes;
		if (to->worker_bytes > 0)
			to->workers_planned = (unsigned)((s->admit.share_bytes - others) / to->worker_bytes);
	}
}

static void publish_profiles(const struct sched *s, struct sched_engine_stats *out)
{
	unsigned k;

	static_assert(SCHED_PROFILES == PROFILE__COUNT, "every profile is reported");
	for (k = 0; k < PROFILE__COUNT; k++) {
		const struct profile *p = &s->profiles.kinds[k];

		out->profiles[k] = (struct sched_profile_stats){
			.name = profile_name(k),
			.samples = p->samples,
			.ratio = p->ratio,
			.error_before = p->error_before,
			.error_after = p->error_after,
		};
	}
	if (profiles_save(&s->profiles, out->memory_profiles, sizeof(out->memory_profiles)) >= sizeof(out->memory_profiles))
		out->memory_profiles[0] = '\0';
}

/* Under the lock of what is published. */
void engine_publish(struct sched *s)
{
	struct sched_engine_stats *out = &s->published_engine;
	unsigned c;

	if (out->at_ms > 0 && s->now_ms - s->engine_published_ms < PUBLISH_EVERY_MS && s->in_flight > 0)
		return;
	s->engine_published_ms = out->at_ms = s->now_ms;
	out->priority_queues = !s->config.no_priority_queues;
	out->dynamic_memory = !s->config.no_dynamic_memory;
	out->streaming_optimizer = !s->config.no_streaming_optimizer;
	out->network_monitor = !s->config.no_network_monitor;
	out->relay_share_bytes = s->admit.share_bytes;
	out->relay_used_bytes = 0;
	for (c = 0; c < SCHED_CLASS__COUNT; c++)
		out->relay_used_bytes += s->admit.used_bytes[c];
	publish_classes(s, out);
	publish_profiles(s, out);
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
