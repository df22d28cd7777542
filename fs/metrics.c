/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Metrics. Names and meanings are an interface: dashboards and alerts are made of them. */
#include "fs/metrics.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "fs/status.h"
#include "fs/version.h"

void metrics_take(struct fs *fs, struct metrics *m)
{
	struct sched *sched = fs_sched(fs);
	struct rusage usage;

	memset(m, 0, sizeof(*m));
	m->version = PACKAGE_VERSION;
	m->uptime_ms = status_uptime_ms();
	sched_stats(sched, &m->sched);
	sched_engine_stats(sched, &m->engine);
	sched_memory_stats(sched_memory_of(sched), &m->memory);
	fs_stats(fs, &m->files);
	fs_pending(fs, "/", &m->pending);
	m->failures = fs_failures(fs, "/", NULL, NULL);
	if (getrusage(RUSAGE_SELF, &usage) == 0)
		m->resident_peak_bytes = (uint64_t)usage.ru_maxrss * 1024;
}

/* --------------------------------------------------------------------------------------------------- the format */

enum type {
	COUNTER,
	GAUGE,
	SUMMARY,
};

/* NAME without "s3bridge_"; every sample of it follows at once. */
static void head(struct strbuf *out, const char *name, enum type type, const char *help)
{
	static const char *const types[] = {[COUNTER] = "counter", [GAUGE] = "gauge", [SUMMARY] = "summary"};

	strbuf_addf(out, "# HELP s3bridge_%s %s\n# TYPE s3bridge_%s %s\n", name, help, name, types[type]);
}

static void label(struct strbuf *out, bool first, const char *name, const char *value)
{
	strbuf_addf(out, "%s%s=\"", first ? "{" : ",", name);
	for (; *value; value++) {
		if (*value == '\n')
			strbuf_addstr(out, "\\n");
		else if (*value == '\\' || *value == '"')
			strbuf_addf(out, "\\%c", *value);
		else
			strbuf_addch(out, *value);
	}
	strbuf_addch(out, '"');
}

/* With as many digits as it needs: large counters of bytes stay exact, and a hundredth is written as 0.01. */
static void value(struct strbuf *out, double v)
{
	char text[32];

	snprintf(text, sizeof(text), "%.15g", v);
	if (strtod(text, NULL) != v)
		snprintf(text, sizeof(text), "%.17g", v);
	strbuf_addf(out, " %s\n", text);
}

static void plain(struct strbuf *out, const char *name, enum type type, double v, const char *help)
{
	head(out, name, type, help);
	strbuf_addf(out, "s3bridge_%s", name);
	value(out, v);
}

static void labelled(struct strbuf *out, const char *name, const char *label_name, const char *label_value, double v)
{
	strbuf_addf(out, "s3bridge_%s", name);
	label(out, true, label_name, label_value);
	strbuf_addch(out, '}');
	value(out, v);
}

/* ----------------------------------------------------------------------------------------------------- the mount */

static void write_mount(const struct metrics *m, struct strbuf *out)
{
	const struct sched_stats *s = &m->sched;

	head(out, "build_info", GAUGE, "Always 1; the version is a label.");
	labelled(out, "build_info", "version", m->version, 1);
	plain(out, "uptime_seconds", GAUGE, (double)m->uptime_ms / 1000, "Since the daemon started.");
	plain(out, "pending_changes", GAUGE, m->pending.changes, "Changes of files that are not stored in S3 yet.");
	plain(out, "pending_bytes", GAUGE, (double)m->pending.bytes, "Sizes of the files that are not stored yet.");
	plain(out, "failures", GAUGE, m->failures, "Changes that failed and that status lists.");
	plain(out, "jobs_active", GAUGE, s->jobs_active, "Changes the scheduler has, waiting ones included.");
	plain(out, "jobs_waiting", GAUGE, s->jobs_waiting, "Changes held back by earlier ones of the same keys.");
	plain(out, "jobs_done_total", COUNTER, (double)s->jobs_done, "Changes that ended well.");
	plain(out, "jobs_failed_total", COUNTER, (double)s->jobs_failed, "Changes that failed or were cancelled.");
	plain(out, "copied_bytes_total", COUNTER, (double)s->copied_bytes, "Relayed through this host.");
	plain(out, "server_copied_bytes_total", COUNTER, (double)s->server_copied_bytes, "Copied by the servers.");
	plain(out, "uploaded_bytes_total", COUNTER, (double)s->uploaded_bytes, "Written by programs and stored.");
	plain(out, "downloaded_bytes_total", COUNTER, (double)s->downloaded_bytes, "Read from S3 for programs.");
	plain(out, "retries_total", COUNTER, (double)s->retries, "Requests that were tried again.");
	plain(out, "throttled_total", COUNTER, (double)s->throttled, "Answers that asked to slow down.");
	head(out, "requests_total", COUNTER, "Requests sent, repeated ones included.");
	for (enum s3_op op = 0; op < S3_OP__COUNT; op++)
		labelled(out, "requests_total", "operation", s3_op_name(op), (double)s->requests[op]);
}

static void write_files(const struct metrics *m, struct strbuf *out)
{
	const struct fs_stats *f = &m->files;

	plain(out, "inodes", GAUGE, (double)f->nodes, "Files and directories that are known.");
	plain(out, "open_files", GAUGE, f->open_files, "Files that programs have open.");
	head(out, "lookups_total", COUNTER, "Names looked up, by who answered.");
	labelled(out, "lookups_total", "from", "cache", (double)f->lookups_cached);
	labelled(out, "lookups_total", "from", "server", (double)f->lookups_asked);
	plain(out, "reads_total", COUNTER, (double)f->reads, "Reads by programs.");
	plain(out, "read_bytes_total", COUNTER, (double)f->read_bytes, "Bytes they got.");
	plain(out, "writes_total", COUNTER, (double)f->writes, "Writes by programs.");
	plain(out, "written_bytes_total", COUNTER, (double)f->written_bytes, "Bytes they wrote.");
	plain(out, "copy_ranges_total", COUNTER, (double)f->copy_ranges, "Calls of copy_file_range.");
	plain(out, "copy_range_bytes_total", COUNTER, (double)f->copy_range_bytes, "Bytes they named.");
}

static void write_memory(const struct metrics *m, struct strbuf *out)
{
	static const char *const kinds[SCHED_MEMORY__COUNT] = {
		[SCHED_MEMORY_RELAY] = "relay",
		[SCHED_MEMORY_WRITE] = "write",
		[SCHED_MEMORY_PART] = "part",
		[SCHED_MEMORY_READ] = "read",
	};
	const struct sched_memory_stats *s = &m->memory;

	plain(out, "memory_limit_bytes", GAUGE, (double)s->limit_bytes, "For everything that holds file data.");
	head(out, "memory_used_bytes", GAUGE, "Of the limit, by what it is used for.");
	for (int kind = 0; kind < SCHED_MEMORY__COUNT; kind++)
		labelled(out, "memory_used_bytes", "kind", kinds[kind], (double)s->used_bytes[kind]);
	plain(out, "memory_peak_bytes", GAUGE, (double)s->peak_bytes, "The most that was used of the limit.");
	plain(out, "memory_waiting", GAUGE, s->waiting, "Who waits for memory now.");
	plain(out, "memory_waits_total", COUNTER, (double)s->waits, "How often somebody had to wait for memory.");
	plain(out, "memory_wait_seconds_total", COUNTER, (double)s->waited_us / 1e6, "How long altogether.");
	plain(out, "relay_memory_share_bytes", GAUGE, (double)m->engine.relay_share_bytes,
	      "Of the limit, what relays may have.");
	if (m->resident_peak_bytes)
		plain(out, "resident_peak_bytes", GAUGE, (double)m->resident_peak_bytes,
		      "The most memory the whole process had.");
}

/* ---------------------------------------------------------------------------------------------------- the engine */

enum field {
	UNSIGNED,
	UINT64,
	MILLISECONDS,
	MICROSECONDS, /* uint32_t, 0: unknown */
	REAL,
};

/* A metric that is a field of a record: one sample for each class, or each path. */
struct field_metric {
	const char *name;
	enum type type;
	enum field field;
	size_t offset;
	bool absent_when_zero; /* 0 stands for unknown or unlimited */
	const char *help;
};

static double field_value(const void *record, const struct field_metric *f)
{
	const char *at = (const char *)record + f->offset;

	switch (f->field) {
	case UNSIGNED:
		return *(const unsigned *)(const void *)at;
	case UINT64:
		return (double)*(const uint64_t *)(const void *)at;
	case MILLISECONDS:
		return (double)*(const uint64_t *)(const void *)at / 1e3;
	case MICROSECONDS:
		return *(const uint32_t *)(const void *)at / 1e6;
	case REAL:
		break;
	}
	return *(const double *)(const void *)at;
}

static void write_class_field(const struct sched_engine_stats *es, const struct field_metric *f, struct strbuf *out)
{
	head(out, f->name, f->type, f->help);
	for (enum sched_class c = 0; c < SCHED_CLASS__COUNT; c++)
		labelled(out, f->name, "class", sched_class_name(c), field_value(&es->classes[c], f));
}

static void write_durations(const struct sched_engine_stats *es, struct strbuf *out)
{
	static const char name[] = "change_duration_seconds";

	head(out, name, SUMMARY, "From submission to the end of changes that ended well.");
	for (enum sched_class c = 0; c < SCHED_CLASS__COUNT; c++) {
		const struct sched_class_stats *s = &es->classes[c];
		const struct {
			const char *quantile;
			int64_t ms;
		} quantiles[] = {{"0.5", s->p50_ms}, {"0.9", s->p90_ms}, {"0.99", s->p99_ms}};

		for (size_t i = 0; s->changes && i < sizeof(quantiles) / sizeof(*quantiles); i++) {
			strbuf_addf(out, "s3bridge_%s", name);
			label(out, true, "class", sched_class_name(c));
			label(out, false, "quantile", quantiles[i].quantile);
			strbuf_addch(out, '}');
			value(out, (double)quantiles[i].ms / 1000);
		}
		labelled(out, "change_duration_seconds_count", "class", sched_class_name(c), (double)s->changes);
	}
}

static void write_classes(const struct sched_engine_stats *es, struct strbuf *out)
{
#define FIELD(name, type, field, member, help) {name, type, field, offsetof(struct sched_class_stats, member), false, help}
	static const struct field_metric fields[] = {
		FIELD("queue_length", GAUGE, UNSIGNED, queued, "Requests that wait for a slot."),
		FIELD("requests_running", GAUGE, UNSIGNED, running, "Requests in flight."),
		FIELD("request_slots", GAUGE, UNSIGNED, slots, "Requests that may be in flight."),
		FIELD("workers_planned", GAUGE, UNSIGNED, workers_planned, "Relays that fit side by side in memory."),
		FIELD("worker_memory_bytes", GAUGE, UINT64, worker_bytes, "Memory planned for each of them."),
		FIELD("relay_memory_used_bytes", GAUGE, UINT64, memory_used_bytes, "Memory reserved for relays now."),
		FIELD("relay_memory_waits_total", COUNTER, UINT64, memory_waits, "How often relays waited for memory."),
		FIELD("relay_memory_wait_seconds_total", COUNTER, MILLISECONDS, memory_waited_ms,
		      "How long they waited for it."),
	};
#undef FIELD

	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		write_class_field(es, &fields[i], out);
	write_durations(es, out);
}

static void write_profiles(const struct sched_engine_stats *es, struct strbuf *out)
{
	const struct sched_profile_stats *p = es->profiles;

	head(out, "memory_estimate_samples_total", COUNTER, "Relays that each memory profile was learned from.");
	for (int i = 0; i < SCHED_PROFILES; i++)
		labelled(out, "memory_estimate_samples_total", "profile", p[i].name, (double)p[i].samples);
	head(out, "memory_estimate_correction_ratio", GAUGE, "What was used, of what was first estimated.");
	for (int i = 0; i < SCHED_PROFILES; i++)
		labelled(out, "memory_estimate_correction_ratio", "profile", p[i].name, p[i].ratio);
	head(out, "memory_estimate_error_ratio", GAUGE, "Mean relative error, without and with what was learned.");
	for (int i = 0; i < SCHED_PROFILES * 2; i++) {
		strbuf_addstr(out, "s3bridge_memory_estimate_error_ratio");
		label(out, true, "profile", p[i / 2].name);
		label(out, false, "learned", i % 2 ? "yes" : "no");
		strbuf_addch(out, '}');
		value(out, i % 2 ? p[i / 2].error_after : p[i / 2].error_before);
	}
}

/* --------------------------------------------------------------------------------------------------- the network */

/* Long endpoints are cut in the statistics, and a sample that is there twice makes the whole answer invalid. */
static bool is_repeated(const struct sched_engine_stats *es, unsigned index)
{
	const struct sched_path_stats *p = es->paths;

	for (unsigned i = 0; i < index; i++)
		if (p[i].direction == p[index].direction && !strcmp(p[i].endpoint, p[index].endpoint))
			return true;
	return false;
}

static void path_sample(struct strbuf *out, const char *name, const struct sched_path_stats *p, const char *quality,
			double v)
{
	strbuf_addf(out, "s3bridge_%s", name);
	label(out, true, "endpoint", p->endpoint);
	label(out, false, "direction", sched_direction_name(p->direction));
	if (quality)
		label(out, false, "quality", quality);
	strbuf_addch(out, '}');
	value(out, v);
}

static void write_paths(const struct sched_engine_stats *es, struct strbuf *out)
{
#define FIELD(name, type, field, member, absent, help) \
	{name, type, field, offsetof(struct sched_path_stats, member), absent, help}
	static const struct field_metric fields[] = {
		FIELD("network_round_trip_seconds", GAUGE, MICROSECONDS, rtt_us, true, "The smallest of the last seconds."),
		FIELD("network_round_trip_mean_seconds", GAUGE, MICROSECONDS, rtt_mean_us, true, "With queueing."),
		FIELD("network_first_byte_seconds", GAUGE, MICROSECONDS, first_byte_us, true,
		      "Until the first byte of an answer, 90th percentile."),
		FIELD("network_slowdown_ratio", GAUGE, REAL, slowdown, true, "Time of a request, of what it takes alone."),
		FIELD("network_goodput_bytes_per_second", GAUGE, REAL, goodput_bytes_per_s, false,
		      "Over the last two seconds."),
		FIELD("network_connection_bytes_per_second", GAUGE, REAL, connection_bytes_per_s, true,
		      "Of the fastest connection lately."),
		FIELD("network_concurrency_limit", GAUGE, UNSIGNED, limit, true,
		      "Transfers that may be in flight; absent when not limited."),
		FIELD("network_in_flight", GAUGE, UNSIGNED, in_flight, false, "Transfers in flight."),
		FIELD("network_pace_requests_per_second", GAUGE, REAL, pace_per_s, true,
		      "Requests started at most; absent when not paced."),
		FIELD("network_requests_total", COUNTER, UINT64, requests, false, "Requests that were answered or failed."),
		FIELD("network_errors_total", COUNTER, UINT64, errors, false, "Those worth another attempt."),
		FIELD("network_throttled_total", COUNTER, UINT64, throttled, false, "Answers that asked to slow down."),
		FIELD("network_bytes_total", COUNTER, UINT64, bytes, false, "Moved by requests that ended well."),
	};
#undef FIELD

	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		head(out, fields[i].name, fields[i].type, fields[i].help);
		for (unsigned n = 0; n < es->path_count; n++) {
			double v = field_value(&es->paths[n], &fields[i]);

			if ((v != 0 || !fields[i].absent_when_zero) && !is_repeated(es, n))
				path_sample(out, fields[i].name, &es->paths[n], NULL, v);
		}
	}
	head(out, "network_quality", GAUGE, "1 for the band that the round trip is in.");
	for (unsigned n = 0; n < es->path_count; n++)
		for (enum sched_band b = 0; b < SCHED_BAND__COUNT && !is_repeated(es, n); b++)
			path_sample(out, "network_quality", &es->paths[n], sched_band_name(b), es->paths[n].band == b);
}

void metrics_write(const struct metrics *m, struct strbuf *out)
{
	const struct sched_engine_stats *es = &m->engine;

	write_mount(m, out);
	write_files(m, out);
	write_memory(m, out);
	head(out, "engine_part_enabled", GAUGE, "1 when this part of the engine is on.");
	labelled(out, "engine_part_enabled", "part", "priority_queues", es->priority_queues);
	labelled(out, "engine_part_enabled", "part", "dynamic_memory", es->dynamic_memory);
	labelled(out, "engine_part_enabled", "part", "streaming_optimizer", es->streaming_optimizer);
	labelled(out, "engine_part_enabled", "part", "network_monitor", es->network_monitor);
	write_classes(es, out);
	write_profiles(es, out);
	write_paths(es, out);
}
