/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Help texts and complaints. */
#include "fs/usage.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *command, *text;
} texts[] = {
	{NULL, "Usage: s3bridge COMMAND ...\n"
	       "Mounts S3 buckets of any provider as the directories of one file system.\n"
	       "\n"
	       "  mount      mount buckets: s3bridge mount NAME=s3://BUCKET ... MOUNTPOINT\n"
	       "  wait       wait until changes are stored in S3\n"
	       "  status     show what a mount is doing\n"
	       "  report     write a web page with plots of what a mount has done\n"
	       "  unmount    wait until all changes are stored, report, and unmount\n"
	       "\n"
	       "  --help     this text; \"s3bridge COMMAND --help\" says more about a command\n"
	       "  --version  the version\n"
	       "\n"
	       "The manual page s3bridge(1) describes the config file and the options.\n"},
	{"mount",
	 "Usage: s3bridge mount [-f] [-c FILE] [-o OPTIONS] [NAME=s3://BUCKET[/PREFIX][?KEY=VALUE&...] ...] "
	 "MOUNTPOINT\n"
	 "Mounts each bucket as the directory MOUNTPOINT/NAME, and returns when the mount answers.\n"
	 "\n"
	 "  -c FILE     config file: a section per bucket, and [s3bridge] for options\n"
	 "  -f          stay in the foreground and log to the terminal\n"
	 "  -o OPTIONS  options, divided by commas\n"
	 "  --help      this text\n"
	 "\n"
	 "Keys of a bucket: endpoint, region, profile, path_style, readonly, ca_file; in a config file also bucket,\n"
	 "prefix, access_key_id, secret_access_key, session_token. Keys are otherwise taken from the AWS environment\n"
	 "variables and files.\n"
	 "\n"
	 "Options: ro, allow_other, allow_root, uid=, gid=, umask=, file_mode=, dir_mode=, noexec, fsname=, debug,\n"
	 "log_file=FILE, writeback=none|all, memory_limit=SIZE, concurrency=N, chunk_workers=N, "
	 "part_size=SIZE,\n"
	 "metadata_ttl=SECONDS, readahead=SIZE, medium_from=SIZE, low_from=SIZE,\n"
	 "priority_queues, dynamic_memory, streaming_optimizer, network_monitor=yes|no.\n"
	 "\n"
	 "Exit code: 0 when mounted and every bucket was reached, 1 when not, 2 when the command line is wrong.\n"},
	{"wait",
	 "Usage: s3bridge wait [--timeout SECONDS] PATH\n"
	 "Waits until every change at and below PATH that was made before is stored in S3.\n"
	 "\n"
	 "  --timeout SECONDS  give up after so long\n"
	 "  --help             this text\n"
	 "\n"
	 "Exit code: 0 when all is stored, 1 when something failed (each is listed), 3 when the time was up.\n"},
	{"status", "Usage: s3bridge status [--json | --watch] MOUNTPOINT\n"
		   "Shows buckets, queues, memory, what is waiting to be stored and what failed.\n"
		   "\n"
		   "  --json   everything, for programs\n"
		   "  --watch  a live screen, also with copies, their progress, and advice; Ctrl-C ends it\n"
		   "  --help   this text\n"
		   "\n"
		   "Files in MOUNTPOINT/.s3bridge say the same: status.json, metrics (for Prometheus), jobs, advice.\n"},
	{"report",
	 "Usage: s3bridge report [-o FILE] MOUNTPOINT\n"
	 "Writes what the mount has done since it was mounted as one web page: plots of throughput, concurrency, memory,\n"
	 "round trip and times by size, with tables, advice and the settings. The page needs no other file and no network.\n"
	 "\n"
	 "  -o, --output FILE  where to write, instead of s3bridge-report.html; - is the standard output\n"
	 "  --help             this text\n"},
	{"unmount", "Usage: s3bridge unmount MOUNTPOINT\n"
		    "Waits until every change is stored in S3, lists what failed, then unmounts.\n"
		    "\n"
		    "  --help  this text\n"
		    "\n"
		    "Exit code: 0 when all is stored and unmounted, 1 when something failed.\n"},
};

const char *usage_text(const char *command)
{
	for (size_t i = 1; command && i < sizeof(texts) / sizeof(*texts); i++)
		if (strcmp(texts[i].command, command) == 0)
			return texts[i].text;
	return texts[0].text;
}

static void vcomplain(const char *fmt, va_list args)
{
	char line[4096 + 512];

	vsnprintf(line, sizeof(line), fmt, args);
	fprintf(stderr, "s3bridge: %s\n", line);
}

void complain(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vcomplain(fmt, args);
	va_end(args);
}

int complain_usage(const char *command, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vcomplain(fmt, args);
	va_end(args);
	fprintf(stderr, "Try \"s3bridge %s%s--help\".\n", command ? command : "", command ? " " : "");
	return EXIT_USAGE;
}

int complain_option(const char *command, int answer, char **argv)
{
	char name[2] = {(char)optopt, '\0'};
	bool is_short = optopt > 0 && optopt < 128;

	if (answer == ':')
		return complain_usage(command, "option %s%s needs a value", is_short ? "-" : "",
				      is_short ? name : argv[optind - 1]);
	return complain_usage(command, "unknown option %s%s", is_short ? "-" : "", is_short ? name : argv[optind - 1]);
}
