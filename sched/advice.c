/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The engine's state in words: why things are as they are, and what would help. */
#include <stdarg.h>
#include <stdio.h>

#include "sched/sched.h"

#define THROTTLED_SHARE 0.01
#define ERROR_SHARE 0.02
#define CROWDED 2.0
#define MEMORY_FULL 0.85
#define SAMPLES_MIN 20

struct speaker {
	sched_advice_fn line;
	void *arg;
	unsigned said;
};

static void say(struct speaker *sp, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct speaker *sp, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sp->said++;
	sp->line(sp->arg, text);
}

static bool has_queued(const struct sched_engine_stats *es)
{
	unsigned c;

	for (c = 0; c < SCHED_CLASS__COUNT; c++)
		if (es->classes[c].queued > 0)
			return true;
	return false;
}

static void about_concurrency(struct speaker *sp, const struct sched_engine_stats *es, const struct sched_path_stats *p)
{
	const char *to = p->direction == SCHED_READ ? "from" : "to";

	if (p->limit == 0 || (p->in_flight == 0 && (p->pace_per_s == 0 || !has_queued(es))))
		return; /* an idle path is what it is because nothing is to do */
	if (p->pace_per_s > 0)
		say(sp, "%s %s: %u transfers at once and at most %.0f requests a second, because the server refuses more (503).",
		    to, p->endpoint, p->limit, p->pace_per_s);
	else if (p->in_flight < p->limit / 2)
		say(sp, "%s %s: up to %u transfers at once are allowed and %u run: %s.", to, p->endpoint, p->limit, p->in_flight,
		    has_queued(es) ? "memory or the other end bounds it" : "there is not more to do");
	else
		say(sp, "%s %s: %u of %u transfers at once (%s); round trip %.1f ms (%s), %.1f MB/s.", to, p->endpoint,
		    p->in_flight, p->limit, p->phase, p->rtt_us / 1000.0, sched_band_name(p->band),
		    p->goodput_bytes_per_s / 1e6);
}

static void about_trouble(struct speaker *sp, const struct sched_path_stats *p)
{
	if (p->requests < SAMPLES_MIN)
		return;
	if ((double)p->throttled > THROTTLED_SHARE * (double)p->requests)
		say(sp,
		    "%s answered \"slow down\" to %.1f %% of the requests: spread the keys over more prefixes, or ask the "
		    "provider for a higher rate.",
		    p->endpoint, 100.0 * (double)p->throttled / (double)p->requests);
	if ((double)p->errors > ERROR_SHARE * (double)p->requests)
		say(sp, "%.1f %% of the requests to %s failed: look at the log for the reason.",
		    100.0 * (double)p->errors / (double)p->requests, p->endpoint);
	if (p->in_flight > 0 && p->slowdown > CROWDED)
		say(sp, "%s: requests take %.1f times longer than alone: the link or the server is full, more at once would not help.",
		    p->endpoint, p->slowdown);
	if (p->band == SCHED_BAND_POOR)
		say(sp, "%s is %.0f ms away: run s3bridge nearer to it.", p->endpoint, p->rtt_us / 1000.0);
}

static void about_memory(struct speaker *sp, const struct sched_engine_stats *es)
{
	uint64_t waits = 0, waited_ms = 0;
	unsigned c;

	for (c = 0; c < SCHED_CLASS__COUNT; c++) {
		waits += es->classes[c].memory_waits;
		waited_ms += es->classes[c].memory_waited_ms;
	}
	if (waits > 0 && (double)es->relay_used_bytes > MEMORY_FULL * (double)es->relay_share_bytes)
		say(sp,
		    "memory bounds what runs at once: copies waited %.1f s for it so far. A larger memory_limit would help; relays "
		    "have %llu MiB now.",
		    (double)waited_ms / 1000, (unsigned long long)(es->relay_share_bytes >> 20));
	for (c = SCHED_HIGH; c < SCHED_CLASS__COUNT; c++)
		if (es->classes[c].queued > 0)
			say(sp, "%s: %u waiting, %u running; memory is planned for %u workers x %.1f MiB.", sched_class_name(c),
			    es->classes[c].queued, es->classes[c].running, es->classes[c].workers_planned,
			    (double)es->classes[c].worker_bytes / 1048576);
}

static void about_parts(struct speaker *sp, const struct sched_engine_stats *es)
{
	if (!es->network_monitor)
		say(sp, "network_monitor is off: the number of transfers at once is fixed, whatever the link could carry.");
	if (!es->priority_queues)
		say(sp, "priority_queues is off: small objects wait behind large ones.");
	if (!es->dynamic_memory)
		say(sp, "dynamic_memory is off: every relay takes 2 MiB, so fewer run at once.");
	if (!es->streaming_optimizer)
		say(sp, "streaming_optimizer is off: a large object is as fast as one connection.");
}

void sched_engine_advice(const struct sched_engine_stats *es, sched_advice_fn line, void *arg)
{
	struct speaker sp = {.line = line, .arg = arg};
	unsigned i;
	uint64_t requests = 0;

	for (i = 0; i < es->path_count; i++) {
		about_concurrency(&sp, es, &es->paths[i]);
		about_trouble(&sp, &es->paths[i]);
		requests += es->paths[i].requests;
	}
	about_memory(&sp, es);
	about_parts(&sp, es);
	if (sp.said == 0)
		say(&sp, requests == 0 ? "Nothing has been moved yet: there is nothing to say." : "Nothing is to be copied or stored.");
}
