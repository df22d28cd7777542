/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Log lines for people. */
#include "s3/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "s3/base/clock.h"

/* Below PIPE_BUF, so that lines of several processes on one pipe do not mix. */
#define LOG_LINE_BYTES 4096
#define LOG_TEXT_BYTES 3072
#define LOG_CUT        "..."

static const struct {
	const char *name;
	int syslog_priority;
} levels[] = {
	[LOG_LEVEL_ERROR] = {"error", LOG_ERR},
	[LOG_LEVEL_WARN] = {"warn", LOG_WARNING},
	[LOG_LEVEL_INFO] = {"info", LOG_INFO},
	[LOG_LEVEL_DEBUG] = {"debug", LOG_DEBUG},
};

static _Atomic int current_level = LOG_LEVEL_WARN;
static _Atomic int current_fd = STDERR_FILENO;
static _Atomic bool use_syslog;

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&current_level, (int)level, memory_order_relaxed);
}

enum log_level log_get_level(void)
{
	return (enum log_level)atomic_load_explicit(&current_level, memory_order_relaxed);
}

bool log_level_parse(const char *name, enum log_level *out)
{
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (!strcmp(name, levels[i].name)) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

void log_set_fd(int fd)
{
	atomic_store(&current_fd, fd);
}

void log_set_syslog(bool to_syslog)
{
	atomic_store(&use_syslog, to_syslog);
}

/* UTC, because localtime_r takes a lock and may read a file. */
static size_t log_prefix(char *out, size_t size, enum log_level level)
{
	struct timespec now = clock_realtime();
	struct tm tm;

	gmtime_r(&now.tv_sec, &tm);
	return (size_t)snprintf(out, size, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ %s: ", tm.tm_year + 1900, tm.tm_mon + 1,
				tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(now.tv_nsec / 1000000),
				levels[level].name);
}

/* Names of objects end up in messages and may hold anything. Control bytes are spelled out, so that a message stays one
 * line and cannot drive a terminal. SIZE counts the NUL; what does not fit is cut, and the cut is shown. */
static size_t log_escape(char *out, size_t size, const char *text)
{
	static const char hex[] = "0123456789abcdef";
	size_t max = size - sizeof(LOG_CUT);
	size_t n = 0;

	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		bool control = *p < 0x20 || *p == 0x7f;

		if (n + (control ? 4 : 1) > max) {
			memcpy(out + n, LOG_CUT, sizeof(LOG_CUT) - 1);
			n += sizeof(LOG_CUT) - 1;
			break;
		}
		if (control) {
			out[n++] = '\\';
			out[n++] = 'x';
			out[n++] = hex[*p >> 4];
			out[n++] = hex[*p & 15];
		} else {
			out[n++] = (char)*p;
		}
	}
	out[n] = '\0';
	return n;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char text[LOG_TEXT_BYTES + 1], line[LOG_LINE_BYTES];
	int saved_errno = errno;
	size_t len = 0;
	ssize_t written;
	va_list args;
	int text_len;

	if (level > log_get_level())
		return;
	va_start(args, fmt);
	text_len = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (text_len < 0)
		goto out;
	if ((size_t)text_len >= sizeof(text))
		memcpy(text + sizeof(text) - sizeof(LOG_CUT), LOG_CUT, sizeof(LOG_CUT));
	else if (text_len > 0 && text[text_len - 1] == '\n')
		text[text_len - 1] = '\0';

	if (atomic_load(&use_syslog)) {
		log_escape(line, sizeof(line), text);
		syslog(levels[level].syslog_priority, "%s", line);
		goto out;
	}
	len = log_prefix(line, sizeof(line), level);
	len += log_escape(line + len, sizeof(line) - len - 1, text);
	line[len++] = '\n';
	/* There is nobody left to tell when the log itself cannot be written. */
	do {
		written = write(atomic_load(&current_fd), line, len);
	} while (written < 0 && errno == EINTR);
out:
	errno = saved_errno;
}
