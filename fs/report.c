/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The page around the plots: figures, tables, advice, settings. */
#include "fs/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/report_internal.h"
#include "fs/status_print.h"
#include "fs/svg_plot.h"
#include "s3/base/cleanup.h"

#define FAILURES_SHOWN    50
#define MEDIUM_FROM_BYTES 1000000 /* where the settings say 0 */
#define LOW_FROM_BYTES    100000000

static const char style[] =
	":root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--dim:#57606a;--grid:#d4d9df;--card:#f6f8fa}\n"
	"@media(prefers-color-scheme:dark){:root{--bg:#14171b;--fg:#e6e9ed;--dim:#9aa4af;--grid:#39414a;--card:#1d2127}}\n"
	"body{margin:0 auto;max-width:1240px;padding:1.2em;background:var(--bg);color:var(--fg);"
	"font:15px/1.45 system-ui,sans-serif}\n"
	"h1{font-size:1.5em;margin:0;overflow-wrap:anywhere}h2{font-size:1.15em;margin:1.6em 0 .5em}"
	".dim{color:var(--dim);margin:.2em 0}\n"
	".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:.7em;margin:1.2em 0}\n"
	".tiles div,figure{background:var(--card);border:1px solid var(--grid);border-radius:6px;padding:.6em .8em}\n"
	".tiles b{display:block;font-size:1.3em;font-weight:600}.tiles span{color:var(--dim);font-size:.85em}\n"
	".bad{color:var(--c6)}\n"
	".plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));gap:1em}\n"
	".wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}\n"
	"th,td{text-align:right;padding:.25em .8em;border-bottom:1px solid var(--grid);white-space:nowrap}\n"
	"th:first-child,td:first-child,th.t,td.t{text-align:left}th{font-weight:600;color:var(--dim);font-size:.85em}\n"
	"li{margin:.2em 0;overflow-wrap:anywhere}\n"
	"@media print{:root{color-scheme:light}body{max-width:none;padding:0;font-size:11px}figure,tr,.tiles{break-inside:avoid}"
	".plots{grid-template-columns:1fr 1fr}h2{break-after:avoid}}\n";

/* Printed, a dark page would be a waste of ink: the colours of the light one again. */
static const char style_print[] =
	"@media print{:root{--bg:#fff;--fg:#000;--dim:#444;--grid:#ccc;--card:#fff;--c0:#0072b2;--c1:#d97706;--c2:#009e73;"
	"--c3:#b5489a;--c4:#56a5d8;--c5:#8a7a00;--c6:#c8381f;--c7:#777}}\n";

static uint64_t number(json_t *o, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(o, key));
}

static double real(json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

static const char *text_of(json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

#define TEXT_BYTES 64

static const char *rate_text(double bytes_per_s, char out[TEXT_BYTES])
{
	static const char *const units[] = {"B/s", "kB/s", "MB/s", "GB/s"};
	unsigned unit = 0;

	while (bytes_per_s >= 1000 && unit < 3) {
		bytes_per_s /= 1000;
		unit++;
	}
	snprintf(out, TEXT_BYTES, "%.*f %s", unit && bytes_per_s < 10 ? 1 : 0, bytes_per_s, units[unit]);
	return out;
}

static const char *ms_text(double ms, char out[TEXT_BYTES])
{
	if (ms < 10)
		snprintf(out, TEXT_BYTES, "%.2g ms", ms);
	else if (ms < 1000)
		snprintf(out, TEXT_BYTES, "%.0f ms", ms);
	else if (ms < 120000)
		snprintf(out, TEXT_BYTES, ms < 10000 ? "%.1f s" : "%.0f s", ms / 1000);
	else
		snprintf(out, TEXT_BYTES, "%.0f min %.0f s", floor(ms / 60000), floor(fmod(ms / 1000, 60)));
	return out;
}

/* Objects are counted in powers of 1000, as the classes' boundaries are given. */
static const char *boundary_text(uint64_t bytes, char out[TEXT_BYTES])
{
	static const char *const units[] = {"bytes", "kB", "MB", "GB"};
	double n = (double)bytes;
	unsigned unit = 0;

	while (n >= 1000 && unit < 3) {
		n /= 1000;
		unit++;
	}
	snprintf(out, TEXT_BYTES, "%.4g %s", n, units[unit]);
	return out;
}

const char *report_class_label(json_t *data, const char *class, char text[REPORT_CLASS_BYTES])
{
	json_t *settings = json_object_get(data, "settings");
	uint64_t medium = number(settings, "medium_from"), low = number(settings, "low_from");
	char a[TEXT_BYTES], b[TEXT_BYTES];

	boundary_text(medium ? medium : MEDIUM_FROM_BYTES, a);
	boundary_text(low ? low : LOW_FROM_BYTES, b);
	if (!strcmp(class, "high"))
		snprintf(text, REPORT_CLASS_BYTES, "high (below %.16s)", a);
	else if (!strcmp(class, "medium"))
		snprintf(text, REPORT_CLASS_BYTES, "medium (%.16s to %.16s)", a, b);
	else if (!strcmp(class, "low"))
		snprintf(text, REPORT_CLASS_BYTES, "low (from %.16s)", b);
	else
		snprintf(text, REPORT_CLASS_BYTES, "%.*s", REPORT_CLASS_BYTES - 1, class);
	return text;
}

static const char *clock_text(time_t at, char out[TEXT_BYTES])
{
	struct tm tm;

	if (!localtime_r(&at, &tm) || !strftime(out, TEXT_BYTES, "%Y-%m-%d %H:%M:%S %z", &tm))
		snprintf(out, TEXT_BYTES, "?");
	return out;
}

/* ------------------------------------------------------------------------------------------------------ tiles */

static void tile(struct strbuf *out, const char *value, bool is_bad, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void tile(struct strbuf *out, const char *value, bool is_bad, const char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	strbuf_addf(out, "<div><b%s>", is_bad ? " class=\"bad\"" : "");
	svg_escape(out, value);
	strbuf_addstr(out, "</b><span>");
	svg_escape(out, text);
	strbuf_addstr(out, "</span></div>\n");
}

/* Working time, and the most bytes a second through this host in any sample that is long enough to say so. */
static void measure(const struct report_run *run, double *working_s, double *peak)
{
	static const char *const keys[] = {"copied_bytes", "uploaded_bytes", "downloaded_bytes"};
	CLEANUP_FREE double *sum = report_column(run, NULL, "");
	double least_s = real(run->data, "interval_ms") / 2000;

	*working_s = *peak = 0;
	for (size_t k = 0; sum && k < sizeof(keys) / sizeof(*keys); k++) {
		CLEANUP_FREE double *bytes = report_column(run, json_object_get(run->data, "samples"), keys[k]);

		for (size_t i = 0; bytes && i < run->count; i++)
			sum[i] += bytes[i];
	}
	for (size_t i = 0; sum && i < run->count; i++) {
		double seconds = run->end_s[i] - run->start_s[i];

		*working_s += seconds;
		if (seconds >= least_s || run->count == 1)
			*peak = fmax(*peak, sum[i] / seconds);
	}
}

static void put_tiles(struct strbuf *out, json_t *status, const struct report_run *run)
{
	json_t *changes = json_object_get(status, "changes"), *t = json_object_get(status, "traffic"),
	       *m = json_object_get(status, "memory"), *requests = json_object_get(status, "requests");
	uint64_t through = number(t, "copied_bytes") + number(t, "uploaded_bytes") + number(t, "downloaded_bytes");
	char a[TEXT_BYTES], b[TEXT_BYTES], c[TEXT_BYTES], d[SIZE_TEXT_BYTES], e[SIZE_TEXT_BYTES];
	double working_s, peak;

	measure(run, &working_s, &peak);
	strbuf_addstr(out, "<div class=\"tiles\">\n");
	snprintf(a, sizeof(a), "%" PRIu64, number(changes, "done"));
	tile(out, a, false, "files and other changes stored, %" PRIu64 " pending", number(changes, "pending"));
	snprintf(a, sizeof(a), "%" PRIu64, number(changes, "failed"));
	tile(out, a, number(changes, "failed") > 0, "failed; %" PRIu64 " requests tried again", number(requests, "retries"));
	tile(out, status_size(through, d), false, "through this host: %s copied", status_size(number(t, "copied_bytes"), e));
	tile(out, status_size(number(t, "server_copied_bytes"), d), false, "copied by the servers themselves");
	tile(out, status_size(number(t, "uploaded_bytes"), d), false, "uploaded from programs, %s downloaded",
	     status_size(number(t, "downloaded_bytes"), e));
	rate_text(working_s > 0 ? (double)through / working_s : 0, a);
	tile(out, a, false, "through this host on average, at most %s", rate_text(peak, b));
	tile(out, ms_text(working_s * 1000, c), false, "of work%s",
	     run->count && run->end_s[run->count - 1] > working_s * 1.01 ? "; idle time is not counted" : "");
	status_size(number(m, "peak_bytes"), d);
	tile(out, d, false, "most memory for file data, of %s allowed", status_size(number(m, "limit_bytes"), e));
	tile(out, status_size(number(m, "resident_peak_bytes"), d), false, "most memory of the whole process");
	strbuf_addstr(out, "</div>\n");
}

/* ----------------------------------------------------------------------------------------------------- tables */

/* Begins a table; HEADS are divided by '|', and those that begin with '<' stand above text. */
static void table(struct strbuf *out, const char *title, const char *heads)
{
	strbuf_addf(out, "<h2>%s</h2>\n<div class=\"wide\"><table><thead><tr>", title);
	while (heads) {
		bool is_text = *heads == '<';
		const char *name = heads + is_text, *end = strchr(heads, '|');

		strbuf_addf(out, "<th%s>%.*s</th>", is_text ? " class=\"t\"" : "",
			    (int)(end ? end - name : (ptrdiff_t)strlen(name)), name);
		heads = end ? end + 1 : NULL;
	}
	strbuf_addstr(out, "</tr></thead><tbody>\n");
}

static void cell(struct strbuf *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void cell(struct strbuf *out, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	strbuf_addstr(out, "<td>");
	svg_escape(out, text);
	strbuf_addstr(out, "</td>");
}

static void text_cell(struct strbuf *out, const char *text)
{
	strbuf_addstr(out, "<td class=\"t\">");
	svg_escape(out, text);
	strbuf_addstr(out, "</td>");
}

static void end_table(struct strbuf *out)
{
	strbuf_addstr(out, "</tbody></table></div>\n");
}

static void put_classes(struct strbuf *out, json_t *engine, json_t *data)
{
	char label[REPORT_CLASS_BYTES], a[TEXT_BYTES], size[SIZE_TEXT_BYTES];
	const char *name;
	json_t *c;

	table(out, "Size classes",
	      "class|stored|half within|90 % within|99 % within|waits for memory|waited|memory planned for");
	json_object_foreach(json_object_get(engine, "classes"), name, c)
	{
		static const char *const times[] = {"p50_ms", "p90_ms", "p99_ms"};

		if (!strcmp(name, "interactive"))
			continue; /* reads are no changes, and take no memory here */
		strbuf_addstr(out, "<tr>");
		cell(out, "%s", report_class_label(data, name, label));
		cell(out, "%" PRIu64, number(c, "changes"));
		for (int i = 0; i < 3; i++)
			cell(out, "%s", number(c, "changes") ? ms_text(real(c, times[i]), a) : "–");
		cell(out, "%" PRIu64, number(c, "memory_waits"));
		cell(out, "%s", ms_text(real(c, "memory_waited_ms"), a));
		cell(out, "%" PRIu64 " × %s", number(c, "workers_planned"), status_size(number(c, "worker_bytes"), size));
		strbuf_addstr(out, "</tr>\n");
	}
	end_table(out);
}

static void put_paths(struct strbuf *out, json_t *engine)
{
	json_t *list = json_object_get(engine, "network"), *p;
	char a[TEXT_BYTES], size[SIZE_TEXT_BYTES];
	size_t i;

	if (!json_array_size(list))
		return;
	table(out, "Endpoints",
	      "<endpoint|<direction|<quality|round trip|with queueing|first byte (p90)|best connection|limit|moved|requests|"
	      "errors|slow down");
	json_array_foreach(list, i, p)
	{
		static const char *const times[] = {"rtt_us", "rtt_mean_us", "first_byte_us"};

		strbuf_addstr(out, "<tr>");
		text_cell(out, text_of(p, "endpoint"));
		text_cell(out, text_of(p, "direction"));
		text_cell(out, text_of(p, "quality"));
		for (int k = 0; k < 3; k++)
			cell(out, "%s", number(p, times[k]) ? ms_text(real(p, times[k]) / 1000, a) : "–");
		cell(out, "%s", number(p, "connection_bytes_per_s") ? rate_text(real(p, "connection_bytes_per_s"), a) : "–");
		if (number(p, "concurrency_limit"))
			cell(out, "%" PRIu64, number(p, "concurrency_limit"));
		else
			cell(out, "none");
		cell(out, "%s", status_size(number(p, "bytes"), size));
		cell(out, "%" PRIu64, number(p, "requests"));
		cell(out, "%" PRIu64, number(p, "errors"));
		cell(out, "%" PRIu64, number(p, "throttled"));
		strbuf_addstr(out, "</tr>\n");
	}
	end_table(out);
}

static void put_profiles(struct strbuf *out, json_t *engine)
{
	json_t *list = json_object_get(engine, "memory_profiles"), *p;
	size_t i;

	table(out, "What was learned about memory",
	      "profile|transfers|used, of the first estimate|error of the first estimate|error with what was learned");
	json_array_foreach(list, i, p)
	{
		bool known = number(p, "samples") > 0;

		strbuf_addstr(out, "<tr>");
		cell(out, "%s", text_of(p, "name"));
		cell(out, "%" PRIu64, number(p, "samples"));
		cell(out, known ? "%.0f %%" : "–", 100 * real(p, "ratio"));
		cell(out, known ? "%.0f %%" : "–", 100 * real(p, "error_before"));
		cell(out, known ? "%.0f %%" : "–", 100 * real(p, "error_after"));
		strbuf_addstr(out, "</tr>\n");
	}
	end_table(out);
}

static void put_buckets(struct strbuf *out, json_t *status)
{
	json_t *list = json_object_get(status, "buckets"), *b;
	size_t i;

	table(out, "Buckets", "<directory|<bucket|<endpoint|<region|<access");
	json_array_foreach(list, i, b)
	{
		CLEANUP_FREE char *where = NULL;

		if (asprintf(&where, "s3://%s/%s", text_of(b, "bucket"), text_of(b, "prefix")) < 0)
			where = NULL;
		strbuf_addstr(out, "<tr>");
		text_cell(out, text_of(b, "name"));
		text_cell(out, where ? where : "");
		text_cell(out, text_of(b, "endpoint"));
		text_cell(out, text_of(b, "region"));
		text_cell(out, json_is_true(json_object_get(b, "readonly")) ? "read-only" : "read and write");
		strbuf_addstr(out, "</tr>\n");
	}
	end_table(out);
}

static void setting_value(struct strbuf *out, const char *name, json_t *v)
{
	char size[SIZE_TEXT_BYTES], a[TEXT_BYTES];
	uint64_t n = (uint64_t)json_integer_value(v);

	if (json_is_boolean(v))
		cell(out, "%s", json_is_true(v) ? "yes" : "no");
	else if (json_is_string(v))
		cell(out, "%s", json_string_value(v));
	else if (!strcmp(name, "medium_from"))
		cell(out, "%s", boundary_text(n ? n : MEDIUM_FROM_BYTES, a));
	else if (!strcmp(name, "low_from"))
		cell(out, "%s", boundary_text(n ? n : LOW_FROM_BYTES, a));
	else if (!strcmp(name, "chunk_workers") && n)
		cell(out, "%" PRIu64, n);
	else if (!strcmp(name, "metadata_ttl"))
		cell(out, "%g s", json_number_value(v));
	else if (!strcmp(name, "chunk_workers") || (!strcmp(name, "part_size") && !n))
		cell(out, "as the engine finds best");
	else
		cell(out, "%s", status_size(n, size));
}

static void put_settings(struct strbuf *out, json_t *data)
{
	const char *name;
	json_t *v;

	table(out, "Settings in force", "option|value");
	json_object_foreach(json_object_get(data, "settings"), name, v)
	{
		strbuf_addstr(out, "<tr>");
		cell(out, "%s", name);
		setting_value(out, name, v);
		strbuf_addstr(out, "</tr>\n");
	}
	end_table(out);
}

/* ------------------------------------------------------------------------------------------------------ lists */

static void put_failures(struct strbuf *out, json_t *changes)
{
	json_t *list = json_object_get(changes, "failures"), *f;
	size_t i;

	if (!number(changes, "failed"))
		return;
	strbuf_addstr(out, "<h2>Failed</h2>\n<ul>\n");
	json_array_foreach(list, i, f)
	{
		if (i == FAILURES_SHOWN)
			break;
		strbuf_addstr(out, "<li>");
		svg_escape(out, text_of(f, "path"));
		strbuf_addstr(out, ": ");
		svg_escape(out, text_of(f, "error"));
		strbuf_addstr(out, "</li>\n");
	}
	if (number(changes, "failed") > i)
		strbuf_addf(out, "<li>and %" PRIu64 " more</li>\n", number(changes, "failed") - i);
	strbuf_addstr(out, "</ul>\n");
}

static void put_advice(struct strbuf *out, json_t *engine)
{
	json_t *list = json_object_get(engine, "advice"), *line;
	size_t i;

	if (!json_array_size(list))
		return;
	strbuf_addstr(out, "<h2>Advice, for the state at the time of the report</h2>\n<ul>\n");
	json_array_foreach(list, i, line)
	{
		const char *s = json_string_value(line);

		strbuf_addstr(out, "<li>");
		svg_escape(out, s ? s : "");
		strbuf_addstr(out, "</li>\n");
	}
	strbuf_addstr(out, "</ul>\n");
}

/* --------------------------------------------------------------------------------------------------- the page */

static bool was_anything_moved(json_t *status)
{
	json_t *t = json_object_get(status, "traffic"), *v;
	const char *name;

	json_object_foreach(t, name, v)
		if (json_integer_value(v) > 0)
			return true;
	return number(json_object_get(status, "changes"), "done") > 0;
}

static void put_head(struct strbuf *out, json_t *status, time_t now)
{
	char when[TEXT_BYTES];

	strbuf_addstr(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\n"
			   "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>s3bridge: ");
	svg_escape(out, text_of(status, "mountpoint"));
	strbuf_addstr(out, "</title>\n<style>\n");
	strbuf_addstr(out, style);
	strbuf_addstr(out, svg_plot_style);
	strbuf_addstr(out, style_print);
	strbuf_addstr(out, "</style></head><body>\n<h1>");
	svg_escape(out, text_of(status, "mountpoint"));
	strbuf_addf(out, "</h1>\n<p class=\"dim\">Report of %s, s3bridge ", clock_text(now, when));
	svg_escape(out, text_of(status, "version"));
	strbuf_addstr(out, "</p>\n");
}

static void put_run(struct strbuf *out, json_t *status, const struct report_run *run, time_t now)
{
	time_t began = now - (time_t)((json_integer_value(json_object_get(run->data, "at_ms")) - run->first_ms) / 1000);
	char when[TEXT_BYTES], interval[TEXT_BYTES];

	if (!was_anything_moved(status))
		strbuf_addstr(out, "<p>Nothing was moved yet.</p>\n");
	else
		put_tiles(out, status, run);
	if (!run->count)
		return;
	strbuf_addf(out, "<h2>The run</h2>\n<p class=\"dim\">Time counts from %s. A step is the mean of %s or less; for "
			 "requests in flight, waiting ones and memory it is what was seen at its end. Long idle time is "
			 "cut to a shaded strip.</p>\n<div class=\"plots\">\n",
		    clock_text(began, when), ms_text(real(run->data, "interval_ms"), interval));
	report_plots(out, run);
	strbuf_addstr(out, "</div>\n");
}

char *report_html(json_t *status, json_t *data, time_t now, size_t *len)
{
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
	json_t *engine = json_object_get(status, "engine");
	struct report_run run;

	if (!report_run_init(&run, data))
		out.failed = true;
	put_head(&out, status, now);
	if (!out.failed)
		put_run(&out, status, &run, now);
	put_failures(&out, json_object_get(status, "changes"));
	put_advice(&out, engine);
	put_classes(&out, engine, data);
	put_paths(&out, engine);
	put_profiles(&out, engine);
	put_buckets(&out, status);
	put_settings(&out, data);
	strbuf_addstr(&out, "</body></html>\n");
	report_run_clear(&run);
	*len = out.len;
	return strbuf_detach(&out);
}
