/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The plots of a report. */
#include "fs/report_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/svg_plot.h"
#include "s3/base/cleanup.h"

#define PATHS_SHOWN   6 /* more lines cannot be told apart */
#define SERIES_MAX    16
#define SAMPLES_BOUND 100000
#define VALUE_MAX     1e18 /* what is more makes no sense, and would not add up */
#define SECONDS_MAX   1e10
#define LOG_FROM      20.0 /* largest to smallest, where a linear scale hides the small */

static const char *const classes[] = {"interactive", "high", "medium", "low"};
#define CLASS_COUNT (sizeof(classes) / sizeof(*classes))

/* ------------------------------------------------------------------------------------------------- the samples */

double *report_column(const struct report_run *run, json_t *o, const char *key)
{
	json_t *list = json_object_get(o, key);
	double *out = calloc(run->count + 1, sizeof(*out));

	for (size_t i = 0; out && i < run->count; i++)
		out[i] = fmin(VALUE_MAX, fmax(0, json_number_value(json_array_get(list, i))));
	return out;
}

bool report_run_init(struct report_run *run, json_t *data)
{
	json_t *samples = json_object_get(data, "samples"), *starts = json_object_get(samples, "start_ms");
	double first_ms = fmin(VALUE_MAX, fmax(0, json_number_value(json_array_get(starts, 0)))), before_s = 0;

	*run = (struct report_run){.data = data, .first_ms = (int64_t)first_ms};
	run->count = json_array_size(starts) < SAMPLES_BOUND ? json_array_size(starts) : SAMPLES_BOUND;
	run->start_s = report_column(run, samples, "start_ms");
	run->end_s = report_column(run, samples, "end_ms");
	if (!run->start_s || !run->end_s)
		return false;
	for (size_t i = 0; i < run->count; i++) {
		run->start_s[i] = fmax(before_s, fmin(SECONDS_MAX, (run->start_s[i] - first_ms) / 1000));
		run->end_s[i] = fmax(run->start_s[i] + 0.001, fmin(SECONDS_MAX, (run->end_s[i] - first_ms) / 1000));
		before_s = run->end_s[i];
	}
	return true;
}

void report_run_clear(struct report_run *run)
{
	free(run->start_s);
	free(run->end_s);
}

/* ------------------------------------------------------------------------------------------------- one drawing */

/* A plot in the making; owns the values and the names. */
struct drawing {
	struct strbuf *out;
	const struct report_run *run;
	struct svg_plot plot;
	struct svg_series series[SERIES_MAX];
	double *values[SERIES_MAX];
	char *names[SERIES_MAX];
};

static struct drawing draw(struct strbuf *out, const struct report_run *run, const struct svg_axis *axis,
			   const char *title, enum svg_kind kind)
{
	return (struct drawing){.out = out, .run = run, .plot = {.title = title, .kind = kind, .axis = axis}};
}

/* Takes VALUES. */
static void add_series(struct drawing *d, const char *name, double *values, enum svg_style style, unsigned colour)
{
	size_t i = d->plot.series_count;

	if (!values || i == SERIES_MAX) {
		d->out->failed |= !values;
		free(values);
		return;
	}
	d->values[i] = values;
	d->names[i] = name ? strdup(name) : NULL;
	d->out->failed |= name && !d->names[i];
	d->series[i] = (struct svg_series){.name = d->names[i], .values = values, .style = style, .colour = colour};
	d->plot.series_count++;
}

/* Puts the plot, if there is something to see, and frees it. */
static void finish(struct drawing *d)
{
	d->plot.series = d->series;
	if (d->plot.series_count && !d->out->failed)
		svg_plot(d->out, &d->plot);
	for (size_t i = 0; i < d->plot.series_count; i++) {
		free(d->values[i]);
		free(d->names[i]);
	}
}

static bool is_all_zero(const double *values, size_t count)
{
	for (size_t i = 0; values && i < count; i++)
		if (values[i] > 0)
			return false;
	return true;
}

static double *per_second(const struct report_run *run, double *values)
{
	for (size_t i = 0; values && i < run->count; i++)
		values[i] /= run->end_s[i] - run->start_s[i];
	return values;
}

/* Adds KEY of O, unless it was 0 all the time. */
static void add_nonzero(struct drawing *d, const char *name, json_t *o, const char *key, bool is_rate,
			enum svg_style style, unsigned colour)
{
	double *values = report_column(d->run, o, key);

	if (values && is_all_zero(values, d->run->count)) {
		free(values);
		return;
	}
	add_series(d, name, is_rate ? per_second(d->run, values) : values, style, colour);
}

/* 0 means unknown: nothing is drawn there. */
static double *without_zeros(const struct report_run *run, double *values, double divisor)
{
	for (size_t i = 0; values && i < run->count; i++)
		values[i] = values[i] > 0 ? values[i] / divisor : NAN;
	return values;
}

/* ---------------------------------------------------------------------------------------------- of the whole */

static void plot_throughput(struct strbuf *out, const struct report_run *run, const struct svg_axis *axis)
{
	json_t *samples = json_object_get(run->data, "samples");
	struct drawing d = draw(out, run, axis, "Throughput through this host", SVG_RATE);

	add_nonzero(&d, "copied between servers", samples, "copied_bytes", true, SVG_AREA, 0);
	add_nonzero(&d, "uploaded", samples, "uploaded_bytes", true, SVG_AREA, 1);
	add_nonzero(&d, "downloaded", samples, "downloaded_bytes", true, SVG_AREA, 2);
	finish(&d);
	d = draw(out, run, axis, "Copied by the servers themselves", SVG_RATE);
	d.plot.note = "Not a byte of this came through this host. A copy counts when it has ended.";
	add_nonzero(&d, "copied by the server", samples, "server_copied_bytes", true, SVG_AREA, 3);
	finish(&d);
}

static void plot_objects(struct strbuf *out, const struct report_run *run, const struct svg_axis *axis)
{
	json_t *samples = json_object_get(run->data, "samples");
	struct drawing d = draw(out, run, axis, "Changes a second", SVG_COUNT);

	add_nonzero(&d, "stored", samples, "done", true, SVG_AREA, 0);
	add_nonzero(&d, "failed", samples, "failed", true, SVG_LINE, 6);
	add_nonzero(&d, "requests tried again", samples, "retries", true, SVG_LINE, 1);
	add_nonzero(&d, "told to slow down", samples, "throttled", true, SVG_DASHED, 3);
	finish(&d);
}

static void plot_memory(struct strbuf *out, const struct report_run *run, const struct svg_axis *axis)
{
	struct drawing d = draw(out, run, axis, "Memory for file data", SVG_BYTES);
	double limit = json_number_value(json_object_get(run->data, "memory_limit_bytes"));
	double *limits = report_column(run, NULL, "");

	for (size_t i = 0; limits && i < run->count; i++)
		limits[i] = limit;
	add_series(&d, "in use", report_column(run, json_object_get(run->data, "samples"), "memory_bytes"), SVG_AREA, 0);
	add_series(&d, "memory_limit", limits, SVG_DASHED, 6);
	finish(&d);
}

/* ------------------------------------------------------------------------------------------------- by class */

static void plot_class_areas(struct strbuf *out, const struct report_run *run, const struct svg_axis *axis,
			     const char *title, const char *key)
{
	json_t *all = json_object_get(run->data, "classes");
	struct drawing d = draw(out, run, axis, title, SVG_COUNT);
	char label[REPORT_CLASS_BYTES];

	for (unsigned c = 0; c < CLASS_COUNT; c++)
		add_nonzero(&d, report_class_label(run->data, classes[c], label), json_object_get(all, classes[c]), key,
			    false, SVG_AREA, c);
	finish(&d);
}

static double *latencies(const struct report_run *run, json_t *class, const char *key)
{
	double *ms = report_column(run, class, key), *changes = report_column(run, class, "changes");

	for (size_t i = 0; ms && changes && i < run->count; i++)
		ms[i] = changes[i] > 0 ? fmax(ms[i], 1) : NAN;
	free(changes);
	return ms;
}

static void plot_latency(struct strbuf *out, const struct report_run *run, const struct svg_axis *axis)
{
	json_t *all = json_object_get(run->data, "classes");
	struct drawing d = draw(out, run, axis, "Time from submission to stored, by size", SVG_MS);
	char label[REPORT_CLASS_BYTES];

	d.plot.is_log = true;
	d.plot.note = "Half of the changes that ended were stored within the line, 99 % within the dashed one. Waiting for a turn "
		      "counts.";
	for (unsigned c = 0; c < CLASS_COUNT; c++) {
		json_t *class = json_object_get(all, classes[c]);
		CLEANUP_FREE double *changes = report_column(run, class, "changes");

		if (is_all_zero(changes, run->count))
			continue;
		add_series(&d, report_class_label(run->data, classes[c], label), latencies(run, class, "p50_ms"), SVG_LINE, c);
		add_series(&d, NULL, latencies(run, class, "p99_ms"), SVG_DASHED, c);
	}
	finish(&d);
}

/* -------------------------------------------------------------------------------------------------- by path */

struct paths {
	json_t *shown[PATHS_SHOWN];
	char *names[PATHS_SHOWN];
	size_t count;
	size_t left_out;
};

static double sum_of(json_t *path, const char *key)
{
	json_t *list = json_object_get(path, key), *v;
	double sum = 0;
	size_t i;

	json_array_foreach(list, i, v) sum += json_number_value(v);
	return sum;
}

/* By what was moved, and where that is equal by requests. */
static int busiest_first(const void *a, const void *b)
{
	json_t *pa = *(json_t *const *)a, *pb = *(json_t *const *)b;
	double da = sum_of(pa, "bytes") + sum_of(pa, "requests") / 1e6,
	       db = sum_of(pb, "bytes") + sum_of(pb, "requests") / 1e6;

	return da < db ? 1 : da > db ? -1 : 0;
}

static char *path_name(json_t *path)
{
	const char *endpoint = json_string_value(json_object_get(path, "endpoint")), *host;
	const char *direction = json_string_value(json_object_get(path, "direction"));
	char *name;

	host = endpoint ? strstr(endpoint, "://") : NULL;
	if (asprintf(&name, "%s %s", direction && !strcmp(direction, "read") ? "from" : "to",
		     host ? host + 3 : endpoint ? endpoint : "?") < 0)
		return NULL;
	return name;
}

static bool choose_paths(struct paths *p, json_t *data)
{
	json_t *list = json_object_get(data, "paths");
	size_t count = json_array_size(list);
	CLEANUP_FREE json_t **all = calloc(count + 1, sizeof(json_t *));

	*p = (struct paths){0};
	for (size_t i = 0; all && i < count; i++)
		all[i] = json_array_get(list, i);
	if (!all)
		return false;
	qsort(all, count, sizeof(json_t *), busiest_first);
	p->count = count < PATHS_SHOWN ? count : PATHS_SHOWN;
	for (size_t i = 0; i < p->count; i++) {
		p->shown[i] = all[i];
		p->names[i] = path_name(all[i]);
		if (!p->names[i])
			return false;
	}
	p->left_out = count - p->count + (size_t)json_integer_value(json_object_get(data, "paths_left_out"));
	return true;
}

/* What the lines mean, and how many are missing. */
#define NOTE_BYTES 192
static const char *path_note(const struct paths *p, const char *meaning, char note[NOTE_BYTES])
{
	if (p->left_out)
		snprintf(note, NOTE_BYTES, "%sThe busiest %zu are shown, %zu are not.", meaning, p->count, p->left_out);
	else
		snprintf(note, NOTE_BYTES, "%s", meaning);
	return note[0] ? note : NULL;
}

static void plot_limits(struct strbuf *out, const struct report_run *run, const struct svg_axis *axis,
			const struct paths *p)
{
	struct drawing d = draw(out, run, axis, "Transfers at once, and the limit that was found", SVG_COUNT);
	char note[NOTE_BYTES];

	d.plot.note = path_note(p, "Dashed: the limit. ", note);
	for (unsigned i = 0; i < p->count; i++) {
		add_series(&d, p->names[i], report_column(run, p->shown[i], "in_flight"), SVG_LINE, i);
		add_series(&d, NULL, without_zeros(run, report_column(run, p->shown[i], "limit"), 1), SVG_DASHED, i);
	}
	finish(&d);
}

static void plot_goodput(struct strbuf *out, const struct report_run *run, const struct svg_axis *axis,
			 const struct paths *p)
{
	struct drawing d = draw(out, run, axis, "Throughput of each endpoint", SVG_RATE);
	char note[NOTE_BYTES];

	d.plot.note = path_note(p, "", note);
	for (unsigned i = 0; i < p->count; i++)
		add_nonzero(&d, p->names[i], p->shown[i], "bytes", true, SVG_LINE, i);
	finish(&d);
}

static void plot_round_trip(struct strbuf *out, const struct report_run *run, const struct svg_axis *axis,
			    const struct paths *p)
{
	struct drawing d = draw(out, run, axis, "Round trip", SVG_MS);
	double least = INFINITY, most = 0;
	char note[NOTE_BYTES];

	d.plot.note = path_note(p, "The smallest of late, and dashed the mean with queueing. ", note);
	for (unsigned i = 0; i < p->count; i++) {
		double *base = without_zeros(run, report_column(run, p->shown[i], "rtt_us"), 1000),
		       *mean = without_zeros(run, report_column(run, p->shown[i], "rtt_mean_us"), 1000);

		for (size_t k = 0; base && mean && k < run->count; k++) {
			least = fmin(least, base[k]); /* of a number and NAN it is the number */
			most = fmax(most, fmax(base[k], mean[k]));
		}
		add_series(&d, p->names[i], base, SVG_LINE, i);
		add_series(&d, NULL, mean, SVG_DASHED, i);
	}
	d.plot.is_log = most > LOG_FROM * least;
	finish(&d);
}

void report_plots(struct strbuf *out, const struct report_run *run)
{
	struct svg_axis *axis = malloc(sizeof(*axis));
	struct paths paths = {0};

	if (!axis || !choose_paths(&paths, run->data)) {
		out->failed = true;
		goto out;
	}
	svg_axis_init(axis, run->start_s, run->end_s, run->count);
	plot_throughput(out, run, axis);
	plot_class_areas(out, run, axis, "Requests in flight, by size of the object", "running");
	plot_class_areas(out, run, axis, "Requests waiting for their turn", "queued");
	plot_memory(out, run, axis);
	plot_latency(out, run, axis);
	plot_objects(out, run, axis);
	plot_round_trip(out, run, axis, &paths);
	plot_limits(out, run, axis, &paths);
	plot_goodput(out, run, axis, &paths);
out:
	for (size_t i = 0; i < paths.count; i++)
		free(paths.names[i]);
	free(axis);
}
