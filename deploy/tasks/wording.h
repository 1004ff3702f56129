/*
 * How problems and their worked answers are worded, whatever family they are of.
 *
 *   published  English like that of published data sets
 *   plain      few and regular words in lower case, a blank before each of them and before each
 *              sign, also the first, so that a word is the same to a tokenizer wherever it stands
 */
#ifndef PL_TASKS_WORDING_H
#define PL_TASKS_WORDING_H

enum pl_wording { PL_WORDING_PUBLISHED, PL_WORDING_PLAIN };
#define PL_WORDING_CHOICES "published|plain"

#endif
