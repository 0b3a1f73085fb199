using FsCheck;
using FsCheck.Fluent;
using Relay.Policy;

namespace Relay.Tests.Policy;

public sealed class CommandPatternTests
{
    [Theory]
    [InlineData("id", "id", true)]
    [InlineData("id", "id ", false)]
    [InlineData("id", " id", false)]
    [InlineData("id", "ID", false)]
    [InlineData("id", "id -u", false)]
    [InlineData("ls *", "ls -l /tmp", true)]
    [InlineData("ls *", "ls ", true)]
    [InlineData("ls *", "ls", false)]
    [InlineData("ls*", "lsof", true)]
    [InlineData("*", "", true)]
    [InlineData("*", "uptime", true)]
    [InlineData("**", "uptime", true)]
    [InlineData("* -n *", "tail -n 10", true)]
    [InlineData("a*b*c", "aXbXbXc", true)]
    [InlineData("a*b*c", "aXbXbX", false)]
    [InlineData("*.log", "x.log.log", true)]
    [InlineData(@"ls \*", "ls *", true)]
    [InlineData(@"ls \*", "ls x", false)]
    [InlineData("ls *", "ls *", true)]
    [InlineData(@"dir c:\\*", @"dir c:\", true)]
    [InlineData("git-upload-pack '*'", "git-upload-pack '/srv/x.git'", true)]
    [InlineData("git-upload-pack '*'", "git-upload-pack '/srv/x.git'; id #'", false)]
    [InlineData("rsync --server *", "rsync --server -vlogDtpre.iLsfxCIvu . /srv/", true)]
    // A shell character written in the pattern matches itself, there and only there.
    [InlineData("ps aux | grep *", "ps aux | grep x", true)]
    [InlineData("ps aux | grep *", "ps aux | grep x | sh", false)]
    [InlineData("find * -name 'a;b' *", "find . -name 'a;b' -print", true)]
    public void Pattern_stands_for_the_whole_command_line(string pattern, string commandLine, bool matches) =>
        Assert.Equal(matches, Pattern(pattern).Matches(commandLine));

    public static TheoryData<string> Smuggled =>
    [
        "ls /tmp;id", "ls /tmp; id", "ls && id", "ls || id", "ls | sh", "ls & id", "ls $(id)", "ls ${IFS}id", "ls $HOME", "ls `id`",
        "ls > /etc/passwd", "ls < /etc/shadow", "ls <(id)", "ls\nid", "ls \nid", "ls x\rid", "ls x\u000bid", "ls \0id", "ls \u0085id", "ls \u2028id",
        "ls (id)", "ls {id}", "ls # id", "ls \\\nid", "ls \"$(id)\"", "ls 'x' ; id", "ls %PATH%", "ls ^& id", "ls \ufffd", "ls \uffff",
    ];

    [Theory]
    [MemberData(nameof(Smuggled))]
    public void Star_stands_for_no_shell_character(string commandLine)
    {
        foreach (var pattern in new[] { "*", "ls *", "ls*", "l*s*", "ls * id", "ls *id", "* id" })
            Assert.False(Pattern(pattern).Matches(commandLine), pattern);
    }

    [Fact]
    public void Quote_in_a_run_cannot_turn_a_quoted_separator_of_the_pattern_into_a_live_one() =>
        Assert.False(Pattern("find * -name 'a;b' *").Matches("find ' -name 'a;b' '"));

    [Theory]
    [InlineData(@"a\")]
    [InlineData(@"a\b")]
    [InlineData("a\nb")]
    [InlineData("a\uFFFFb")]
    public void Bad_pattern_is_refused(string pattern)
    {
        Assert.False(CommandPattern.TryCreate(pattern, out _, out var error));
        Assert.NotEmpty(error);
    }

    [Fact]
    public void Longest_command_line_is_matched_and_one_more_character_is_not()
    {
        var pattern = Pattern("a*");
        Assert.True(pattern.Matches("a" + new string('x', PolicyLimits.MaxCommandLineLength - 1)));
        Assert.False(pattern.Matches("a" + new string('x', PolicyLimits.MaxCommandLineLength)));
    }

    [Fact]
    public void Matches_as_trying_every_split_does()
    {
        var symbols = Gen.Elements("a", "b", "*", ";", "'", " ", @"\*", @"\\");
        var lines = Gen.Elements('a', 'b', '*', ';', '\'', ' ', '\\', '\n');
        var pairs =
            from pattern in Gen.Resize(symbols.ArrayOf(), 9)
            from line in Gen.Resize(lines.ArrayOf(), 11)
            select (Pattern: string.Concat(pattern), Line: new string(line));
        Checked.ForAll(pairs.ToArbitrary(), 20_000, pair => Pattern(pair.Pattern).Matches(pair.Line) == Oracle.Glob(pair.Pattern, pair.Line));
    }

    private static CommandPattern Pattern(string text)
    {
        Assert.True(CommandPattern.TryCreate(text, out var pattern, out var error), error);
        return pattern;
    }
}
