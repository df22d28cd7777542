/* SPDX-License-Identifier: GPL-3.0-or-later */
/* status.json as aligned text. What a daemon of another version leaves out counts as 0. */
#include "fs/status_print.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "fs/status_engine.h"

static uint64_t number(json_t *o, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(o, key));
}

/* Names come from whoever can write the bucket: nothing in them may command the terminal. */
static void put_text(FILE *out, const char *s)
{
	for (; *s; s++) {
		if (iscntrl((unsigned char)*s))
			fprintf(out, "\\x%02x", (unsigned char)*s);
		else
			fputc(*s, out);
	}
}

static const char *text(json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

const char *status_size(uint64_t bytes, char out[SIZE_TEXT_BYTES])
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double n = (double)bytes;
	int unit = -1;

	while (n >= 1024 && unit < 5) {
		n /= 1024;
		unit++;
	}
	if (unit < 0)
		snprintf(out, SIZE_TEXT_BYTES, "%" PRIu64 " bytes", bytes);
	else
		snprintf(out, SIZE_TEXT_BYTES, n < 10 ? "%.1f %s" : "%.0f %s", n, units[unit]);
	return out;
}

static void print_duration(FILE *out, uint64_t ms)
{
	uint64_t s = ms / 1000;

	if (s >= 86400)
		fprintf(out, "%" PRIu64 " d %" PRIu64 " h", s / 86400, s / 3600 % 24);
	else if (s >= 3600)
		fprintf(out, "%" PRIu64 " h %" PRIu64 " min", s / 3600, s / 60 % 60);
	else if (s >= 60)
		fprintf(out, "%" PRIu64 " min %" PRIu64 " s", s / 60, s % 60);
	else
		fprintf(out, "%" PRIu64 " s", s);
}

static void print_buckets(FILE *out, json_t *buckets)
{
	size_t i, width = 0;
	json_t *b;

	json_array_foreach(buckets, i, b) if (strlen(text(b, "name")) > width) width = strlen(text(b, "name"));
	json_array_foreach(buckets, i, b)
	{
		fputs("  ", out);
		put_text(out, text(b, "name"));
		fprintf(out, "%*s  s3://", (int)(width - strlen(text(b, "name"))), "");
		put_text(out, text(b, "bucket"));
		fputs("/", out);
		put_text(out, text(b, "prefix"));
		fputs(" at ", out);
		put_text(out, text(b, "endpoint"));
		fprintf(out, "%s\n", json_is_true(json_object_get(b, "readonly")) ? ", read-only" : "");
	}
}

static void print_queues(FILE *out, json_t *queues)
{
	const char *name;
	json_t *q;

	json_object_foreach(queues, name, q)
		fprintf(out, "  %-12s %4" PRIu64 " running  %6" PRIu64 " queued  (at most %" PRIu64 " at once)\n", name,
			number(q, "running"), number(q, "queued"), number(q, "slots"));
}

static void print_memory(FILE *out, json_t *m)
{
	static const char *const kinds[] = {"relay_bytes", "write_bytes", "part_bytes", "read_bytes"};
	char a[SIZE_TEXT_BYTES], b[SIZE_TEXT_BYTES], c[SIZE_TEXT_BYTES], d[SIZE_TEXT_BYTES];
	uint64_t used = 0;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		used += number(m, kinds[i]);
	fprintf(out, "Memory   %s of %s for file data (at most %s so far); whole process at most %s\n",
		status_size(used, a), status_size(number(m, "limit_bytes"), b), status_size(number(m, "peak_bytes"), c),
		status_size(number(m, "resident_peak_bytes"), d));
}

static void print_traffic(FILE *out, json_t *t, json_t *requests)
{
	char a[SIZE_TEXT_BYTES], b[SIZE_TEXT_BYTES], c[SIZE_TEXT_BYTES], d[SIZE_TEXT_BYTES];

	fprintf(out, "Moved    %s copied through this host, %s copied by the servers, %s uploaded, %s downloaded\n",
		status_size(number(t, "copied_bytes"), a), status_size(number(t, "server_copied_bytes"), b),
		status_size(number(t, "uploaded_bytes"), c), status_size(number(t, "downloaded_bytes"), d));
	fprintf(out, "Network  %" PRIu64 " requests tried again, %" PRIu64 " sent twice because they were late, %" PRIu64
		     " times asked to slow down\n",
		number(requests, "retries"), number(requests, "hedged"), number(requests, "throttled"));
}

uint64_t status_print_failures(FILE *out, json_t *changes, const char *indent)
{
	json_t *list = json_object_get(changes, "failures"), *f;
	uint64_t failed = number(changes, "failed");
	size_t i;

	json_array_foreach(list, i, f)
	{
		fputs(indent, out);
		put_text(out, text(f, "path"));
		fputs(": ", out);
		put_text(out, text(f, "error"));
		fputc('\n', out);
	}
	if (failed > json_array_size(list))
		fprintf(out, "%sand %" PRIu64 " more\n", indent, failed - json_array_size(list));
	return failed;
}

void status_print(FILE *out, json_t *status)
{
	json_t *changes = json_object_get(status, "changes");
	char size[SIZE_TEXT_BYTES];

	put_text(out, text(status, "mountpoint"));
	fprintf(out, ": s3bridge %s, pid %" PRIu64 ", up ", text(status, "version"), number(status, "pid"));
	print_duration(out, number(status, "uptime_ms"));
	fprintf(out, ", writeback=%s%s\n", text(status, "writeback"),
		json_is_true(json_object_get(status, "readonly")) ? ", read-only" : "");
	fputs("Buckets\n", out);
	print_buckets(out, json_object_get(status, "buckets"));
	fprintf(out, "Changes  %" PRIu64 " not yet stored (%s), %" PRIu64 " done, %" PRIu64 " failed\n",
		number(changes, "pending"), status_size(number(changes, "pending_bytes"), size),
		number(changes, "done"), number(changes, "failed"));
	status_print_failures(out, changes, "  ");
	fputs("Requests\n", out);
	print_queues(out, json_object_get(status, "queues"));
	print_memory(out, json_object_get(status, "memory"));
	print_traffic(out, json_object_get(status, "traffic"), json_object_get(status, "requests"));
	status_engine_print(out, json_object_get(status, "engine"));
}
