/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The picture: head, classes, network, copies, failures, advice. What a daemon of another version leaves out counts as 0. */
#include "fs/watch_screen.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "fs/status_print.h"
#include "fs/watch_text.h"
#include "s3/base/cleanup.h"

#define LABEL_COLUMNS  10
#define COPIES_MIN     3u  /* lines of them, before others get any */
#define ADVICE_MIN     4u
#define FAILURES_MAX   3u
#define UNBOUNDED_ROWS 20u /* of a kind, where there is no height */

/* The picture being drawn. */
struct drawing {
	const struct watch_screen *w;
	double interval_s; /* between before and now; 0: no before */
	unsigned left;     /* lines */
	struct strbuf line;
	struct strbuf *out;
};

static uint64_t number(json_t *o, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(o, key));

	return n > 0 ? (uint64_t)n : 0;
}

static const char *text(json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static unsigned at_most(size_t n, unsigned bound)
{
	return n < bound ? (unsigned)n : bound;
}

/* The line that was gathered, cut to the width. What is not ours in it has been escaped. */
static void end_line(struct drawing *d)
{
	const char *s = d->line.data ? d->line.data : "";
	size_t len = watch_fit(s, d->w->width);

	while (len && s[len - 1] == ' ')
		len--;
	if (d->left) {
		strbuf_add(d->out, s, len);
		strbuf_addch(d->out, '\n');
		d->left--;
	}
	strbuf_reset(&d->line);
}

static double rate_between(const struct drawing *d, uint64_t before, uint64_t now)
{
	return d->interval_s > 0 && now > before ? (double)(now - before) / d->interval_s : 0;
}

static const char *rate_text(double bytes_per_s, char out[SIZE_TEXT_BYTES])
{
	return status_size((uint64_t)(bytes_per_s + 0.5), out);
}

/* ------------------------------------------------------------------------------------------------------ the head */

static uint64_t moved_bytes(json_t *status)
{
	json_t *t = json_object_get(status, "traffic");

	return number(t, "copied_bytes") + number(t, "server_copied_bytes") + number(t, "uploaded_bytes");
}

/* Of what is pending, parts that are already stored do not count. */
static uint64_t remaining_bytes(json_t *status)
{
	uint64_t pending = number(json_object_get(status, "changes"), "pending_bytes");
	uint64_t done = number(json_object_get(status, "jobs"), "done_bytes");

	return pending > done ? pending - done : 0;
}

static void draw_title(struct drawing *d)
{
	json_t *s = d->w->now, *changes = json_object_get(s, "changes");
	char up[WATCH_ETA_BYTES], size[SIZE_TEXT_BYTES];

	watch_add_cut(&d->line, text(s, "mountpoint"), d->w->width - 36, true);
	strbuf_addf(&d->line, "  up %s", watch_eta_text((double)(number(s, "uptime_ms") / 1000), up));
	strbuf_addf(&d->line, "  writeback=%s%s", text(s, "writeback"),
		    json_is_true(json_object_get(s, "readonly")) ? ", read-only" : "");
	end_line(d);
	strbuf_addf(&d->line, "%-*s%" PRIu64 " not yet stored (%s), %" PRIu64 " done, %" PRIu64 " failed", LABEL_COLUMNS,
		    "Changes", number(changes, "pending"), status_size(number(changes, "pending_bytes"), size),
		    number(changes, "done"), number(changes, "failed"));
	end_line(d);
}

static unsigned bar_columns(const struct drawing *d)
{
	unsigned columns = (d->w->width - LABEL_COLUMNS) / 3;

	return columns < 12 ? 12 : columns > 60 ? 60 : columns;
}

static void draw_total(struct drawing *d)
{
	uint64_t remaining = remaining_bytes(d->w->now), moved = moved_bytes(d->w->now), began, whole;
	double rate = d->interval_s > 0 ? rate_between(d, moved_bytes(d->w->before), moved) : 0;
	char a[SIZE_TEXT_BYTES], b[SIZE_TEXT_BYTES], c[SIZE_TEXT_BYTES], eta[WATCH_ETA_BYTES];

	began = d->w->since ? moved_bytes(d->w->since) : moved;
	moved = moved > began ? moved - began : 0;
	whole = moved + remaining;
	strbuf_addf(&d->line, "%-*s", LABEL_COLUMNS, "Total");
	if (!remaining) {
		strbuf_addstr(&d->line, "nothing waits to be moved");
		if (rate >= 1)
			strbuf_addf(&d->line, "  %s/s", rate_text(rate, c));
		end_line(d);
		return;
	}
	watch_add_bar(&d->line, moved, whole, bar_columns(d));
	strbuf_addf(&d->line, " %.0f%% of %s", floor(100.0 * (double)moved / (double)whole), status_size(whole, a));
	if (d->w->width >= 100)
		strbuf_addf(&d->line, ", %s left", status_size(remaining, b));
	strbuf_addf(&d->line, "  %s/s  ETA %s", rate_text(rate, c), watch_eta_text(watch_eta_s(remaining, rate), eta));
	end_line(d);
}

static void draw_memory(struct drawing *d)
{
	static const char *const kinds[] = {"relay", "write", "part", "read"};
	json_t *m = json_object_get(d->w->now, "memory");
	uint64_t used = 0, limit = number(m, "limit_bytes");
	char a[SIZE_TEXT_BYTES], b[SIZE_TEXT_BYTES];
	char key[32];

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		snprintf(key, sizeof(key), "%s_bytes", kinds[i]);
		used += number(m, key);
	}
	strbuf_addf(&d->line, "%-*s", LABEL_COLUMNS, "Memory");
	watch_add_bar(&d->line, used, limit, bar_columns(d));
	strbuf_addf(&d->line, " %s of %s", status_size(used, a), status_size(limit, b));
	if (number(m, "waiting"))
		strbuf_addf(&d->line, ", %" PRIu64 " wait", number(m, "waiting"));
	strbuf_addf(&d->line, ", peak %s", status_size(number(m, "peak_bytes"), a));
	end_line(d);
}

/* ---------------------------------------------------------------------------------------------------- the classes */

static void draw_class(struct drawing *d, const char *name, json_t *queue)
{
	json_t *c = json_object_get(json_object_get(json_object_get(d->w->now, "engine"), "classes"), name);
	char plan[64] = "", used[SIZE_TEXT_BYTES], p99[WATCH_ETA_BYTES + 4] = "-";

	if (number(c, "workers_planned"))
		snprintf(plan, sizeof(plan), "%" PRIu64 " workers x %.1f MiB", number(c, "workers_planned"),
			 (double)number(c, "worker_bytes") / 1048576);
	if (number(c, "changes"))
		snprintf(p99, sizeof(p99), number(c, "p99_ms") < 1000 ? "%.0f ms" : "%.1f s",
			 number(c, "p99_ms") < 1000 ? (double)number(c, "p99_ms") : (double)number(c, "p99_ms") / 1000);
	strbuf_addf(&d->line, "%-12s%8" PRIu64 "%9" PRIu64 "%7" PRIu64 "  %-24s%10s%8s", name, number(queue, "queued"),
		    number(queue, "running"), number(queue, "slots"), plan,
		    number(c, "memory_used_bytes") ? status_size(number(c, "memory_used_bytes"), used) : "-", p99);
	end_line(d);
}

static void draw_classes(struct drawing *d)
{
	json_t *queues = json_object_get(d->w->now, "queues"), *queue;
	const char *name;

	strbuf_addf(&d->line, "%-12s%8s%9s%7s  %-24s%10s%8s", "Class", "waiting", "running", "slots", "plan", "memory", "p99");
	end_line(d);
	json_object_foreach(queues, name, queue) draw_class(d, name, queue);
}

/* ---------------------------------------------------------------------------------------------------- the network */

static json_t *network_of(json_t *status)
{
	return json_object_get(json_object_get(status, "engine"), "network");
}

/* Measured over the interval where that is possible: the daemon's own figure is of the last two seconds, and large parts come
 * in more seldom. */
static double goodput(const struct drawing *d, json_t *path)
{
	size_t i;
	json_t *p;

	json_array_foreach(network_of(d->w->before), i, p)
	{
		if (d->interval_s > 0 && !strcmp(text(p, "endpoint"), text(path, "endpoint")) &&
		    !strcmp(text(p, "direction"), text(path, "direction")))
			return rate_between(d, number(p, "bytes"), number(path, "bytes"));
	}
	return (double)number(path, "goodput_bytes_per_s");
}

/* As the longest needs, and the other columns leave. */
static unsigned endpoint_columns(const struct drawing *d)
{
	unsigned most = d->w->width > 80 ? d->w->width - 50 : 30, columns = 10;
	json_t *p;
	size_t i;

	json_array_foreach(network_of(d->w->now), i, p)
	{
		unsigned need = watch_columns(text(p, "endpoint")) + 2;

		columns = need > columns ? need : columns;
	}
	return columns < most ? columns : most;
}

static void draw_path(struct drawing *d, json_t *p)
{
	unsigned columns = endpoint_columns(d);
	size_t begin = d->line.len;
	char at_once[48], rate[SIZE_TEXT_BYTES], rtt[32] = "-";

	watch_add_cut(&d->line, text(p, "endpoint"), columns - 1, true);
	while (d->line.len - begin < columns)
		strbuf_addch(&d->line, ' ');
	if (number(p, "rtt_us"))
		snprintf(rtt, sizeof(rtt), "%.1f ms", (double)number(p, "rtt_us") / 1000);
	snprintf(at_once, sizeof(at_once), number(p, "concurrency_limit") ? "%" PRIu64 "/%" PRIu64 : "%" PRIu64,
		 number(p, "in_flight"), number(p, "concurrency_limit"));
	strbuf_addf(&d->line, "%-6s%-10s%10s%9s%13s/s", text(p, "direction"), text(p, "quality"), rtt, at_once,
		    rate_text(goodput(d, p), rate));
	if (number(p, "throttled"))
		strbuf_addf(&d->line, "  %" PRIu64 " x 503", number(p, "throttled"));
	end_line(d);
}

static void draw_network(struct drawing *d, unsigned lines)
{
	json_t *paths = network_of(d->w->now), *p;
	unsigned shown = lines - 1;
	size_t i, count = json_array_size(paths);

	strbuf_addf(&d->line, "%-*s%-6s%-10s%10s%9s%15s", (int)endpoint_columns(d), "Network", "", "quality", "trip", "at once", "goodput");
	end_line(d);
	if (count <= shown) {
		json_array_foreach(paths, i, p) draw_path(d, p);
		return;
	}
	/* Not all fit: those that do something. */
	shown--;
	for (int pass = 0; pass < 2; pass++) {
		json_array_foreach(paths, i, p)
		{
			if (!shown || (number(p, "in_flight") != 0) != (pass == 0))
				continue;
			draw_path(d, p);
			shown--;
			count--;
		}
	}
	strbuf_addf(&d->line, "  and %zu more", count);
	end_line(d);
}

/* ------------------------------------------------------------------------------------------------------ the copies */

/* Over the interval; of one that was not listed then, since it was given to the scheduler. */
static double job_rate(const struct drawing *d, json_t *job)
{
	json_t *list = json_object_get(json_object_get(d->w->before, "jobs"), "largest"), *j;
	uint64_t age_ms = number(job, "age_ms");
	size_t i;

	json_array_foreach(list, i, j)
	{
		if (d->interval_s > 0 && number(j, "id") == number(job, "id"))
			return rate_between(d, number(j, "done_bytes"), number(job, "done_bytes"));
	}
	return age_ms ? (double)number(job, "done_bytes") * 1000 / (double)age_ms : 0;
}

static void draw_job(struct drawing *d, json_t *job)
{
	static const unsigned rest = 40; /* columns beside the bar and the path */
	uint64_t size = number(job, "size_bytes"), done = number(job, "done_bytes");
	double rate = job_rate(d, job);
	unsigned bar = d->w->width >= 100 ? 20 : d->w->width >= 80 ? 10 : 0, path = d->w->width - rest;
	CLEANUP_STRBUF struct strbuf name = STRBUF_INIT;
	char whole[SIZE_TEXT_BYTES], speed[SIZE_TEXT_BYTES], eta[WATCH_ETA_BYTES];

	strbuf_addf(&d->line, "%4.0f%% ", size ? floor(100.0 * (double)done / (double)size) : 0.0);
	if (bar && path > bar + 1) {
		watch_add_bar(&d->line, done, size, bar);
		strbuf_addch(&d->line, ' ');
		path -= bar + 1;
	}
	strbuf_addf(&d->line, "%10s %10s/s %8s  ", status_size(size, whole), rate_text(rate, speed),
		    watch_eta_text(size ? watch_eta_s(size - (done < size ? done : size), rate) : -1, eta));
	if (strcmp(text(job, "kind"), "copy"))
		strbuf_addf(&name, "%s ", text(job, "kind"));
	strbuf_addf(&name, "%s/%s", text(job, "bucket"), text(job, "key"));
	watch_add_cut(&d->line, name.data ? name.data : "", path, true);
	end_line(d);
}

/* In so many lines, the heading included. */
static void draw_jobs(struct drawing *d, unsigned lines)
{
	json_t *jobs = json_object_get(d->w->now, "jobs"), *list = json_object_get(jobs, "largest"), *job;
	uint64_t running = number(jobs, "running");
	unsigned shown = lines - 1;
	size_t i;

	strbuf_addf(&d->line, "%-*s%" PRIu64 " running, %" PRIu64 " waiting for them", LABEL_COLUMNS, "Copies", running,
		    number(jobs, "waiting"));
	end_line(d);
	if (running > shown)
		shown = shown ? shown - 1 : 0;
	json_array_foreach(list, i, job) if (i < shown) draw_job(d, job);
	if (lines > 1 && running > at_most(json_array_size(list), shown)) {
		strbuf_addf(&d->line, "      and %" PRIu64 " more", running - at_most(json_array_size(list), shown));
		end_line(d);
	}
}

/* ---------------------------------------------------------------------------------------------- failures, advice */

static void draw_failures(struct drawing *d, unsigned lines)
{
	json_t *changes = json_object_get(d->w->now, "changes"), *list = json_object_get(changes, "failures"), *f;
	uint64_t failed = number(changes, "failed");
	unsigned shown = lines - 1;
	size_t i;

	strbuf_addf(&d->line, "%-*s%" PRIu64, LABEL_COLUMNS, "Failed", failed);
	if (failed > shown)
		strbuf_addf(&d->line, ", the last %u; \"s3bridge status\" lists more", shown);
	end_line(d);
	json_array_foreach(list, i, f)
	{
		if (i + shown < json_array_size(list))
			continue;
		strbuf_addstr(&d->line, "  ");
		watch_add_cut(&d->line, text(f, "path"), d->w->width / 2, true);
		strbuf_addstr(&d->line, ": ");
		watch_add_cut(&d->line, text(f, "error"), UINT_MAX, false);
		end_line(d);
	}
}

/* Broken between words. Returns how many lines it takes; draws them only where DRAWN. */
static unsigned wrap(struct drawing *d, const char *sentence, bool drawn)
{
	CLEANUP_STRBUF struct strbuf escaped = STRBUF_INIT;
	const char *s;
	unsigned lines = 0;

	watch_add_cut(&escaped, sentence, UINT_MAX, false);
	for (s = escaped.data ? escaped.data : ""; *s; lines++) {
		size_t len = watch_fit(s, d->w->width - 4), cut = len;

		while (s[len] && cut && s[cut] != ' ')
			cut--;
		if (!cut)
			cut = len;
		if (drawn) {
			strbuf_addstr(&d->line, lines ? "    " : "  ");
			strbuf_add(&d->line, s, cut);
			end_line(d);
		}
		s += cut;
		while (*s == ' ')
			s++;
	}
	return lines;
}

static json_t *advice_of(const struct drawing *d)
{
	return json_object_get(json_object_get(d->w->now, "engine"), "advice");
}

static unsigned advice_lines(struct drawing *d)
{
	json_t *advice = advice_of(d), *v;
	unsigned lines = 1;
	size_t i;

	json_array_foreach(advice, i, v) lines += wrap(d, json_string_value(v) ? json_string_value(v) : "", false);
	return lines;
}

/* Whole sentences only. */
static void draw_advice(struct drawing *d, unsigned lines)
{
	json_t *advice = advice_of(d), *v;
	unsigned left = lines - 1;
	size_t i;

	strbuf_addstr(&d->line, "Advice");
	end_line(d);
	json_array_foreach(advice, i, v)
	{
		const char *s = json_string_value(v) ? json_string_value(v) : "";
		unsigned need = wrap(d, s, false);

		if (need > left)
			continue;
		wrap(d, s, true);
		left -= need;
	}
}

/* ------------------------------------------------------------------------------------------------------- the whole */

/* Lines for each part that can grow, headings included; 0: left out. */
struct layout {
	unsigned network, jobs, failures, advice;
};

static unsigned take(unsigned *left, unsigned wanted, unsigned bound)
{
	unsigned n = at_most(wanted, bound < *left ? bound : *left);

	*left -= n;
	return n;
}

static unsigned rows(const struct drawing *d, size_t n)
{
	return n ? at_most(n, d->w->height ? d->w->height : UNBOUNDED_ROWS) + 1 : 0;
}

static struct layout lay_out(struct drawing *d)
{
	json_t *changes = json_object_get(d->w->now, "changes");
	unsigned running = rows(d, number(json_object_get(d->w->now, "jobs"), "running")), advice = 0, more;
	unsigned left = d->left;
	struct layout l = {0};

	if (json_array_size(advice_of(d)))
		advice = advice_lines(d);
	l.network = take(&left, rows(d, json_array_size(network_of(d->w->now))), left / 3 + 1);
	l.failures = take(&left, rows(d, json_array_size(json_object_get(changes, "failures"))),
			  d->w->height ? FAILURES_MAX : UINT_MAX);
	l.jobs = take(&left, running, COPIES_MIN + 1);
	l.advice = take(&left, advice, ADVICE_MIN);
	/* What is left is for the copies first. */
	more = take(&left, running - l.jobs, UINT_MAX);
	l.jobs += more;
	l.advice += take(&left, advice - l.advice, UINT_MAX);
	return l;
}

/* A daemon that was started anew begins to count anew. */
static double interval_s(json_t *before, json_t *now)
{
	uint64_t then = number(before, "uptime_ms"), end = number(now, "uptime_ms");

	if (!before || number(before, "pid") != number(now, "pid") || end <= then)
		return 0;
	return (double)(end - then) / 1000;
}

void watch_screen_draw(const struct watch_screen *w, struct strbuf *out)
{
	struct watch_screen screen = *w;
	struct drawing d = {.w = &screen, .out = out, .left = w->height ? w->height : UINT_MAX};
	struct layout l;

	if (screen.width < WATCH_WIDTH_MIN)
		screen.width = WATCH_WIDTH_MIN;
	if (interval_s(screen.since, screen.now) <= 0)
		screen.since = NULL;
	d.interval_s = interval_s(screen.before, screen.now);
	draw_title(&d);
	draw_total(&d);
	draw_memory(&d);
	draw_classes(&d);
	l = lay_out(&d);
	if (l.network > 1)
		draw_network(&d, l.network);
	if (l.jobs)
		draw_jobs(&d, l.jobs);
	if (l.failures > 1)
		draw_failures(&d, l.failures);
	if (l.advice > 1)
		draw_advice(&d, l.advice);
	strbuf_free(&d.line);
}
