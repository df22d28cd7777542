/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tests of s3/xml.c, xml_fields.c and xml_write.c: answers as servers write them, and as nobody should. */
#include "s3/xml.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DECL "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define NS   "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""

static int parse(const char *body, struct xml_answer *a)
{
	return xml_parse(body, strlen(body), false, a);
}

static void assert_refused(const char *body)
{
	struct xml_answer a;

	assert_int_equal(parse(body, &a), -EBADMSG);
	assert_non_null(a.problem);
	xml_answer_clear(&a);
}

static void a_listing_is_read_in_order(void **state)
{
	struct xml_answer a;

	assert_int_equal(parse(DECL
			       "<ListBucketResult " NS "><Name>b</Name><Prefix>p/</Prefix><KeyCount>3</KeyCount>"
			       "<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>"
			       "<Contents><Key>p/a &amp; b</Key><LastModified>2009-10-12T17:50:30.500Z</LastModified>"
			       "<ETag>&quot;fba9dede5f27731c9771645a39863328&quot;</ETag><Size>434234</Size>"
			       "<Owner><ID>x</ID><DisplayName>Key</DisplayName></Owner>"
			       "<StorageClass>STANDARD</StorageClass></Contents>"
			       "<Contents><Key>p/z</Key><LastModified>2009-10-12T17:50:30Z</LastModified>"
			       "<ETag>\"e-2\"</ETag><Size>0</Size></Contents>"
			       "<CommonPrefixes><Prefix>p/q/</Prefix></CommonPrefixes></ListBucketResult>\n",
			       &a),
			 0);
	assert_int_equal(a.root, XML_ROOT_LIST);
	assert_int_equal(a.entry_count, 3);
	assert_string_equal(a.entries[0].key, "p/a & b");
	assert_int_equal(a.entries[0].size_bytes, 434234);
	assert_string_equal(a.entries[0].etag, "\"fba9dede5f27731c9771645a39863328\"");
	assert_int_equal(a.entries[0].last_modified.tv_sec, 1255369830);
	assert_int_equal(a.entries[0].last_modified.tv_nsec, 500000000);
	assert_false(a.entries[0].is_prefix);
	assert_string_equal(a.entries[1].etag, "\"e-2\"");
	assert_string_equal(a.entries[2].key, "p/q/");
	assert_true(a.entries[2].is_prefix);
	assert_null(a.next_token);
	xml_answer_clear(&a);
}

static void a_prefixed_namespace_or_none_is_read_alike(void **state)
{
	struct xml_answer a;

	assert_int_equal(parse("<s3:ListBucketResult xmlns:s3=\"urn:other\"><s3:Contents><s3:Key>k</s3:Key>"
			       "<s3:Size>1</s3:Size></s3:Contents></s3:ListBucketResult>",
			       &a),
			 0);
	assert_int_equal(a.entry_count, 1);
	assert_string_equal(a.entries[0].key, "k");
	xml_answer_clear(&a);
	assert_int_equal(parse("<CopyObjectResult><ETag>e</ETag></CopyObjectResult>", &a), 0);
	assert_string_equal(a.etag, "e");
	xml_answer_clear(&a);
}

static void url_encoded_keys_are_decoded_wherever_the_server_says_so(void **state)
{
	struct xml_answer a;

	/* At the end, as MinIO does. */
	assert_int_equal(parse("<ListBucketResult><Contents><Key>a+b%2B%01%C3%A4/%25</Key><Size>1</Size></Contents>"
			       "<CommonPrefixes><Prefix>x%20y/</Prefix></CommonPrefixes>"
			       "<IsTruncated>true</IsTruncated><NextContinuationToken>t%20t</NextContinuationToken>"
			       "<EncodingType>url</EncodingType></ListBucketResult>",
			       &a),
			 0);
	assert_string_equal(a.entries[0].key, "a b+\x01\xc3\xa4/%");
	assert_string_equal(a.entries[1].key, "x y/");
	assert_string_equal(a.next_token, "t%20t");
	xml_answer_clear(&a);
	/* Not said: not decoded. */
	assert_int_equal(parse("<ListBucketResult><Contents><Key>a+b%2B</Key><Size>1</Size></Contents>"
			       "</ListBucketResult>",
			       &a),
			 0);
	assert_string_equal(a.entries[0].key, "a+b%2B");
	xml_answer_clear(&a);
	assert_refused("<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>100%</Key><Size>1</Size>"
		       "</Contents></ListBucketResult>");
	assert_refused("<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>a%00</Key><Size>1</Size>"
		       "</Contents></ListBucketResult>");
}

static void a_truncated_listing_needs_a_token(void **state)
{
	struct xml_answer a;

	assert_int_equal(parse("<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>1ueG"
			       "</NextContinuationToken></ListBucketResult>",
			       &a),
			 0);
	assert_string_equal(a.next_token, "1ueG");
	xml_answer_clear(&a);
	assert_refused("<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>");
	/* A token without "truncated" is no reason to go on. */
	assert_int_equal(parse("<ListBucketResult><IsTruncated>false</IsTruncated><NextContinuationToken>x"
			       "</NextContinuationToken></ListBucketResult>",
			       &a),
			 0);
	assert_null(a.next_token);
	xml_answer_clear(&a);
}

static void multipart_answers_are_read(void **state)
{
	struct xml_answer a;

	assert_int_equal(parse(DECL "<InitiateMultipartUploadResult " NS "><Bucket>b</Bucket><Key>k</Key>"
				    "<UploadId>VXBsb2Fk</UploadId></InitiateMultipartUploadResult>",
			       &a),
			 0);
	assert_int_equal(a.root, XML_ROOT_INITIATE);
	assert_string_equal(a.upload_id, "VXBsb2Fk");
	xml_answer_clear(&a);

	/* Blanks that keep the connection alive, before and behind the declaration. */
	assert_int_equal(parse("  \n" DECL "      <CompleteMultipartUploadResult " NS "><Location>l</Location>"
			       "<ETag>&#34;3858f62230ac3c915f300c664312c11f-9&#34;</ETag>"
			       "</CompleteMultipartUploadResult>",
			       &a),
			 0);
	assert_int_equal(a.root, XML_ROOT_COMPLETE);
	assert_string_equal(a.etag, "\"3858f62230ac3c915f300c664312c11f-9\"");
	xml_answer_clear(&a);

	assert_int_equal(parse("<CopyPartResult><LastModified>2011-04-11T20:34:56.000Z</LastModified>"
			       "<ETag><![CDATA[\"9b2cf535\"]]></ETag></CopyPartResult>",
			       &a),
			 0);
	assert_int_equal(a.root, XML_ROOT_COPY);
	assert_string_equal(a.etag, "\"9b2cf535\"");
	assert_int_equal(a.last_modified.tv_sec, 1302554096);
	xml_answer_clear(&a);
}

static void a_list_of_parts_is_read(void **state)
{
	struct xml_answer a;

	assert_int_equal(parse("<ListPartsResult " NS "><UploadId>u</UploadId><PartNumberMarker>1</PartNumberMarker>"
			       "<NextPartNumberMarker>3</NextPartNumberMarker><IsTruncated>true</IsTruncated>"
			       "<Part><PartNumber>2</PartNumber><ETag>\"7778\"</ETag><Size>10485760</Size></Part>"
			       "<Part><PartNumber>3</PartNumber><ETag>\"aaaa\"</ETag><Size>5</Size></Part>"
			       "</ListPartsResult>",
			       &a),
			 0);
	assert_int_equal(a.part_count, 2);
	assert_int_equal(a.parts[0].number, 2);
	assert_int_equal(a.parts[0].size_bytes, 10485760);
	assert_string_equal(a.parts[1].etag, "\"aaaa\"");
	assert_string_equal(a.next_token, "3");
	xml_answer_clear(&a);
	/* Not every server takes Amazon's name for it. */
	assert_int_equal(
		parse("<ListPartsResponse><Part><PartNumber>2</PartNumber><ETag>e</ETag></Part></ListPartsResponse>",
		      &a),
		0);
	assert_int_equal(a.part_count, 1);
	xml_answer_clear(&a);
	assert_refused("<ListPartsResult><Part><PartNumber>0</PartNumber><ETag>e</ETag></Part></ListPartsResult>");
	assert_refused("<ListPartsResult><Part><PartNumber>10001</PartNumber><ETag>e</ETag></Part></ListPartsResult>");
	assert_refused("<ListPartsResult><Part><PartNumber>7</PartNumber></Part></ListPartsResult>");
}

static void a_list_of_uploads_is_read(void **state)
{
	struct xml_answer a;

	assert_int_equal(parse("<ListMultipartUploadsResult><EncodingType>url</EncodingType>"
			       "<NextKeyMarker>a%0Ab</NextKeyMarker><NextUploadIdMarker>u9</NextUploadIdMarker>"
			       "<IsTruncated>true</IsTruncated><Upload><Key>a%20b</Key><UploadId>u1</UploadId>"
			       "<Initiator><ID>Key</ID></Initiator><Initiated>2010-11-10T20:48:33.000Z</Initiated>"
			       "</Upload><CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>"
			       "</ListMultipartUploadsResult>",
			       &a),
			 0);
	assert_int_equal(a.entry_count, 1);
	assert_string_equal(a.entries[0].key, "a b");
	assert_string_equal(a.entries[0].upload_id, "u1");
	assert_int_equal(a.entries[0].last_modified.tv_sec, 1289422113);
	assert_string_equal(a.next_token, "a\nb\nu9");
	xml_answer_clear(&a);
	assert_refused("<ListMultipartUploadsResult><Upload><Key>k</Key></Upload></ListMultipartUploadsResult>");
	assert_refused("<ListMultipartUploadsResult><Upload><Key>k</Key><UploadId>a&#10;b</UploadId></Upload>"
		       "</ListMultipartUploadsResult>");
}

static void an_error_is_read_and_long_words_are_cut(void **state)
{
	struct xml_answer a;
	char body[2048], words[600];

	assert_int_equal(parse(DECL "<Error><Code>PermanentRedirect</Code><Message>Use it.</Message>"
				    "<Endpoint>b.s3-eu.example.com</Endpoint><Region>eu-west-1</Region></Error>",
			       &a),
			 0);
	assert_int_equal(a.root, XML_ROOT_ERROR);
	assert_string_equal(a.code, "PermanentRedirect");
	assert_string_equal(a.message, "Use it.");
	assert_string_equal(a.endpoint, "b.s3-eu.example.com");
	assert_string_equal(a.region, "eu-west-1");
	xml_answer_clear(&a);

	memset(words, 'w', sizeof(words));
	words[sizeof(words) - 1] = '\0';
	snprintf(body, sizeof(body), "<Error><Code>%s</Code><Message>%s</Message></Error>", words, words);
	assert_int_equal(parse(body, &a), 0);
	assert_int_equal(strlen(a.code), sizeof(a.code) - 1);
	assert_int_equal(strlen(a.message), sizeof(a.message) - 1);
	xml_answer_clear(&a);
}

static void a_delete_result_gives_its_first_real_error(void **state)
{
	struct xml_answer a;

	assert_int_equal(parse("<DeleteResult " NS "/>", &a), 0);
	assert_int_equal(a.root, XML_ROOT_DELETE);
	assert_int_equal(a.error_count, 0);
	xml_answer_clear(&a);

	assert_int_equal(
		parse("<DeleteResult><Deleted><Key>a</Key></Deleted>"
		      "<Error><Key>b</Key><Code>NoSuchKey</Code><Message>m</Message></Error>"
		      "<Error><Key>c</Key><Code>AccessDenied</Code><Message>no</Message></Error>"
		      "<Error><Key>d</Key><Code>InternalError</Code><Message>oh</Message></Error></DeleteResult>",
		      &a),
		0);
	assert_int_equal(a.error_count, 2);
	assert_string_equal(a.code, "AccessDenied");
	assert_string_equal(a.message, "no");
	assert_string_equal(a.error_key, "c");
	xml_answer_clear(&a);
}

static void what_is_not_whole_is_refused(void **state)
{
	static const char whole[] = DECL "<ListBucketResult " NS "><Contents><Key>k</Key><Size>1</Size></Contents>"
					 "<IsTruncated>false</IsTruncated></ListBucketResult>";
	struct xml_answer a;

	for (size_t len = 0; len < strlen(whole); len++) {
		assert_int_equal(xml_parse(whole, len, false, &a), -EBADMSG);
		assert_non_null(a.problem);
		xml_answer_clear(&a);
		assert_int_equal(xml_parse(whole, len, true, &a), -EBADMSG);
		xml_answer_clear(&a);
	}
	assert_int_equal(xml_parse(whole, strlen(whole), false, &a), 0);
	xml_answer_clear(&a);
}

static void what_is_no_answer_is_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"   ",
		"hello",
		"{\"Code\":\"x\"}",
		"<ListBucket/>",
		"<ListBucketResults/>",
		"<ErrorResult/>",
		"<html><body><h1>502 Bad Gateway</h1></body></html>",
		"<ListBucketResult></ListBucketResult><ListBucketResult></ListBucketResult>",
		"<ListBucketResult></ListBucketresult>",
		"<ListBucketResult><Contents></ListBucketResult>",
		"<ListBucketResult><Contents/></ListBucketResult>",
		"<ListBucketResult><Contents><Key>k</Key></Contents></ListBucketResult>",
		"<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>",
		"<ListBucketResult><Contents><Key></Key><Size>1</Size></Contents></ListBucketResult>",
		"<ListBucketResult><Contents><Key>a</Key><Key>b</Key><Size>1</Size></Contents></ListBucketResult>",
		"<ListBucketResult><Contents><Key>k</Key><Size>-1</Size></Contents></ListBucketResult>",
		"<ListBucketResult><Contents><Key>k</Key><Size>1e9</Size></Contents></ListBucketResult>",
		"<ListBucketResult><Contents><Key>k</Key><Size></Size></Contents></ListBucketResult>",
		"<ListBucketResult><CommonPrefixes><Prefix/></CommonPrefixes></ListBucketResult>",
		"<ListBucketResult>&undeclared;</ListBucketResult>",
		"<ListBucketResult><Contents><Key>\xff\xfe</Key><Size>1</Size></Contents></ListBucketResult>",
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_refused(cases[i]);
	/* one more than 64 bits can hold */
	assert_refused("<ListBucketResult><Contents><Key>k</Key><Size>18446744073709551616</Size></Contents>"
		       "</ListBucketResult>");
}

static void an_etag_is_never_cut(void **state)
{
	char body[512], etag[97];

	memset(etag, 'e', 96);
	etag[96] = '\0';
	snprintf(body, sizeof(body), "<CopyObjectResult><ETag>%s</ETag></CopyObjectResult>", etag);
	assert_refused(body);
}

static void a_doctype_ends_the_parse(void **state)
{
	struct xml_answer a;
	static const char *const cases[] = {
		"<!DOCTYPE Error><Error><Code>c</Code></Error>",
		"<!DOCTYPE Error SYSTEM \"file:///etc/passwd\"><Error><Code>c</Code></Error>",
		"<!DOCTYPE e [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><Error><Message>&x;</Message></Error>",
		"<!DOCTYPE l [<!ENTITY a \"lol\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">"
		"<!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;\"><!ENTITY d \"&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;\">"
		"<!ENTITY e \"&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;\"><!ENTITY f \"&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;\">]>"
		"<Error><Message>&f;&f;&f;&f;</Message></Error>",
		"<!DOCTYPE p [<!ENTITY % r SYSTEM \"http://127.0.0.1:1/x.dtd\">%r;]><Error/>",
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(xml_parse(cases[i], strlen(cases[i]), true, &a), -EBADMSG);
		assert_string_equal(a.problem, "it has a DOCTYPE");
		assert_string_equal(a.message, "");
		xml_answer_clear(&a);
	}
}

static void nesting_is_bounded(void **state)
{
	struct strbuf body = STRBUF_INIT;
	struct xml_answer a;

	strbuf_addstr(&body, "<Error>");
	for (int i = 0; i < 100000; i++)
		strbuf_addstr(&body, "<a>");
	assert_int_equal(xml_parse(body.data, body.len, true, &a), -EBADMSG);
	assert_string_equal(a.problem, "it is nested too deeply");
	xml_answer_clear(&a);
	strbuf_free(&body);
}

static void the_number_of_entries_is_bounded(void **state)
{
	for (int over = 0; over <= 1; over++) {
		struct strbuf body = STRBUF_INIT;
		struct xml_answer a;

		strbuf_addstr(&body, "<ListBucketResult>");
		for (int i = 0; i < XML_MAX_ENTRIES + over; i++)
			strbuf_addf(&body, "<Contents><Key>k%d</Key><Size>%d</Size></Contents>", i, i);
		strbuf_addstr(&body, "</ListBucketResult>");
		assert_int_equal(xml_parse(body.data, body.len, false, &a), over ? -EBADMSG : 0);
		if (over) {
			assert_string_equal(a.problem, "it has too many entries");
		} else {
			assert_int_equal(a.entry_count, XML_MAX_ENTRIES);
			assert_string_equal(a.entries[9999].key, "k9999");
		}
		xml_answer_clear(&a);
		strbuf_free(&body);
	}
}

static void the_length_of_a_text_is_bounded(void **state)
{
	struct strbuf body = STRBUF_INIT;
	struct xml_answer a;

	strbuf_addstr(&body, "<Error><Message>");
	for (size_t i = 0; i <= XML_MAX_TEXT_BYTES; i++)
		strbuf_addch(&body, 'x');
	strbuf_addstr(&body, "</Message></Error>");
	assert_int_equal(parse(body.data, &a), -EBADMSG);
	assert_string_equal(a.problem, "a text is too long");
	xml_answer_clear(&a);
	strbuf_free(&body);
}

static void bad_characters_are_skipped_only_where_keys_do_not_matter(void **state)
{
	static const char body[] = "<InitiateMultipartUploadResult><Key>a&#x1;b</Key><UploadId>u</UploadId>"
				   "</InitiateMultipartUploadResult>";
	static const char raw[] = "<InitiateMultipartUploadResult><Key>a\x01"
				  "b</Key><UploadId>u</UploadId></InitiateMultipartUploadResult>";
	struct xml_answer a;

	assert_int_equal(xml_parse(body, strlen(body), true, &a), 0);
	assert_string_equal(a.upload_id, "u");
	xml_answer_clear(&a);
	assert_int_equal(xml_parse(raw, strlen(raw), true, &a), 0);
	assert_string_equal(a.upload_id, "u");
	xml_answer_clear(&a);
	assert_refused(body);
	assert_refused(raw);
}

static void complete_is_written_with_escaped_etags(void **state)
{
	static const struct s3_part parts[] = {{1, 0, "\"a\""}, {10000, 0, "<&>"}};
	struct strbuf out = STRBUF_INIT;

	xml_write_complete(&out, parts, 2);
	assert_string_equal(out.data, "<CompleteMultipartUpload " NS "><Part><PartNumber>1</PartNumber>"
				      "<ETag>&quot;a&quot;</ETag></Part><Part><PartNumber>10000</PartNumber>"
				      "<ETag>&lt;&amp;&gt;</ETag></Part></CompleteMultipartUpload>");
	strbuf_free(&out);
}

static void delete_is_written_with_escaped_keys(void **state)
{
	char k0[] = "a<b>&\"'", k1[] = "l\r\n\tx", k2[] = "\xc3\xa4 \xf0\x9f\x98\x80";
	char *keys[] = {k0, k1, k2};
	struct strbuf out = STRBUF_INIT;

	assert_int_equal(xml_write_delete(&out, keys, 3), 0);
	assert_string_equal(out.data, "<Delete " NS "><Quiet>true</Quiet>"
				      "<Object><Key>a&lt;b&gt;&amp;&quot;'</Key></Object>"
				      "<Object><Key>l&#13;&#10;&#9;x</Key></Object>"
				      "<Object><Key>\xc3\xa4 \xf0\x9f\x98\x80</Key></Object></Delete>");
	strbuf_free(&out);
}

static void keys_that_xml_cannot_carry_are_known(void **state)
{
	static const char *const good[] = {"a", "\t\n\r", "\xc3\xa4", "\xef\xbf\xbd", "\xf4\x8f\xbf\xbf", "\x7f"};
	static const char *const bad[] = {"\x01",         "a\x1f",        "\xff",         "\xc0\xaf",
					  "\xed\xa0\x80", "\xef\xbf\xbe", "\xef\xbf\xbf", "\xf4\x90\x80\x80",
					  "\xc3",         "\xe2\x82",     "\x80",         "\xf8\x88\x80\x80\x80"};
	struct strbuf out = STRBUF_INIT;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(s3_key_fits_xml(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char key[8];
		char *keys[] = {key};

		strcpy(key, bad[i]);
		assert_false(s3_key_fits_xml(key));
		assert_int_equal(xml_write_delete(&out, keys, 1), -EINVAL);
	}
	strbuf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_listing_is_read_in_order),
		cmocka_unit_test(a_prefixed_namespace_or_none_is_read_alike),
		cmocka_unit_test(url_encoded_keys_are_decoded_wherever_the_server_says_so),
		cmocka_unit_test(a_truncated_listing_needs_a_token),
		cmocka_unit_test(multipart_answers_are_read),
		cmocka_unit_test(a_list_of_parts_is_read),
		cmocka_unit_test(a_list_of_uploads_is_read),
		cmocka_unit_test(an_error_is_read_and_long_words_are_cut),
		cmocka_unit_test(a_delete_result_gives_its_first_real_error),
		cmocka_unit_test(what_is_not_whole_is_refused),
		cmocka_unit_test(what_is_no_answer_is_refused),
		cmocka_unit_test(an_etag_is_never_cut),
		cmocka_unit_test(a_doctype_ends_the_parse),
		cmocka_unit_test(nesting_is_bounded),
		cmocka_unit_test(the_number_of_entries_is_bounded),
		cmocka_unit_test(the_length_of_a_text_is_bounded),
		cmocka_unit_test(bad_characters_are_skipped_only_where_keys_do_not_matter),
		cmocka_unit_test(complete_is_written_with_escaped_etags),
		cmocka_unit_test(delete_is_written_with_escaped_keys),
		cmocka_unit_test(keys_that_xml_cannot_carry_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
