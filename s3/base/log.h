/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Log lines for people. Any thread. One line per call, written with one write(2); no allocation.
 * Nothing that is logged may hold a secret: keys, tokens and Authorization headers are never passed here. */
#ifndef S3B_LOG_H
#define S3B_LOG_H

#include <stdbool.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

/* Lines above this level are dropped. Default LOG_LEVEL_WARN. */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* "error", "warn", "info" or "debug"; false when NAME is none of them. */
bool log_level_parse(const char *name, enum log_level *out);

/* Where lines go: a descriptor (default 2), which the log does not own; or syslog(3) when TO_SYSLOG is set. */
void log_set_fd(int fd);
void log_set_syslog(bool to_syslog);

void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                                                                                 \
	do {                                                                                                           \
		if (log_get_level() >= LOG_LEVEL_DEBUG)                                                                \
			log_write(LOG_LEVEL_DEBUG, __VA_ARGS__);                                                       \
	} while (0)

#endif
