/*
 * Which source a program was built from: `git describe` of the tree that it was compiled in, so
 * that programs of one run that are not of one build can be told apart. Only files with a main()
 * know it (build_tag.h, which is made anew whenever the tree's commit changes); they say it once.
 */
#ifndef PL_BASE_BUILD_H
#define PL_BASE_BUILD_H

/* Before any thread is started; `build` lives as long as the program. */
void pl_build_set(const char *build);

/* "unknown" outside git, and until it is set. */
const char *pl_build(void);

#endif
