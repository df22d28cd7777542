/* SPDX-License-Identifier: GPL-3.0-or-later */
/* report: asks the daemon for the course of its run, and writes the page. */
#include "fs/cmd_report.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fs/client.h"
#include "fs/report.h"
#include "fs/usage.h"
#include "s3/base/cleanup.h"

#define FILE_DEFAULT "s3bridge-report.html"

/* NULL after complaining. */
static char *make_page(const char *mountpoint, size_t *len)
{
	json_t *status = client_status(mountpoint), *data = status ? client_report(mountpoint) : NULL;
	char *page = NULL;

	if (!data)
		client_complain(mountpoint, errno);
	else if (!(page = report_html(status, data, time(NULL), len)))
		complain("out of memory");
	json_decref(status);
	json_decref(data);
	return page;
}

static int write_all(int fd, const char *page, size_t len)
{
	while (len) {
		ssize_t n = write(fd, page, len);

		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0) {
			page += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* As a file that is created gets it: mkostemp gives 0600. */
static int usual_mode(int fd)
{
	mode_t mask = umask(0);

	umask(mask);
	return fchmod(fd, 0666 & ~mask);
}

/* Under a temporary name first, so that a page that is there stays whole until it is replaced. 0 or -1 with errno. */
static int replace_file(const char *file, const char *page, size_t len)
{
	CLEANUP_FREE char *temporary = NULL;
	int err, fd;

	if (asprintf(&temporary, "%s.XXXXXX", file) < 0) {
		temporary = NULL;
		errno = ENOMEM;
		return -1;
	}
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return -1;
	err = write_all(fd, page, len) < 0 || usual_mode(fd) < 0 ? errno : 0;
	if (close(fd) < 0 && !err)
		err = errno;
	if (!err && rename(temporary, file) < 0)
		err = errno;
	if (err)
		unlink(temporary);
	errno = err;
	return err ? -1 : 0;
}

/* A device or a pipe is written to: it cannot be replaced. */
static int write_file(const char *file, const char *page, size_t len)
{
	CLEANUP_CLOSE int fd = -1;
	struct stat st;

	if (stat(file, &st) < 0 || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
		return replace_file(file, page, len);
	fd = open(file, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -1 : write_all(fd, page, len);
}

static int report(const char *path, const char *file)
{
	CLEANUP_CLIENT struct client c = {0};
	CLEANUP_FREE char *page = NULL;
	size_t len = 0;

	if (!client_find(path, &c))
		return EXIT_FAILED;
	page = make_page(c.mountpoint, &len);
	if (!page)
		return EXIT_FAILED;
	if (!strcmp(file, "-")) {
		if (write_all(STDOUT_FILENO, page, len) == 0)
			return EXIT_OK;
		complain("cannot write the report: %s", strerror(errno));
		return EXIT_FAILED;
	}
	if (write_file(file, page, len) == 0)
		return EXIT_OK;
	complain("cannot write the report to %s: %s", file, strerror(errno));
	return EXIT_FAILED;
}

int cmd_report(int argc, char **argv)
{
	static const struct option longs[] = {
		{"help", no_argument, NULL, 'h'},
		{"output", required_argument, NULL, 'o'},
		{NULL, 0, NULL, 0},
	};
	const char *file = FILE_DEFAULT;
	int opt;

	while ((opt = getopt_long(argc, argv, ":ho:", longs, NULL)) != -1) {
		if (opt == 'h') {
			fputs(usage_text("report"), stdout);
			return EXIT_OK;
		}
		if (opt != 'o')
			return complain_option("report", opt, argv);
		file = optarg;
	}
	if (argc - optind != 1)
		return complain_usage("report", "expected one mount point");
	if (!*file)
		return complain_usage("report", "the name of the file is empty");
	return report(argv[optind], file);
}
