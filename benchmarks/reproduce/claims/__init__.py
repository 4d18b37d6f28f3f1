"""Claims of the papers: for each a record, and a figure and a table in docs/claims.md.

`python -m benchmarks.reproduce.claims NAME` measures one. A claim is a module here with these names:

    measure(args)       trains and measures: (results, protocol, gates, trainings, arguments of `benchmarks.zoo.keep`).
                        Existing runs in --workdir are read and not repeated.
    RECORD              instead of `measure`: the name of another module's record that is shown; or a tuple of names, with
    compare(records)    the results made of {name: record}, and
    GATES               for them, see `benchmarks.record.judged`
    draw(record, args)  the figure, of Matplotlib
    table(record)       the table and its explanation, in Markdown
    CAPTION             what the figure shows, for those who do not see it
"""
