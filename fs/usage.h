/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the s3bridge commands say about themselves, and how they complain. */
#ifndef S3B_FS_USAGE_H
#define S3B_FS_USAGE_H

/* Exit codes, the same for every command. */
enum {
	EXIT_OK = 0,
	EXIT_FAILED = 1, /* something went wrong, and stderr says what */
	EXIT_USAGE = 2,  /* the command line makes no sense */
	EXIT_TIMED_OUT = 3,
};

/* The help of COMMAND ("mount", "wait", ...), or of s3bridge as a whole for NULL. */
const char *usage_text(const char *command);

/* "s3bridge: SENTENCE" on stderr. */
void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The same, with a hint at "s3bridge COMMAND --help" (COMMAND may be NULL). Returns EXIT_USAGE. */
int complain_usage(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Names the option that getopt_long has just answered '?' or ':' for. Returns EXIT_USAGE. */
int complain_option(const char *command, int answer, char **argv);

#endif
