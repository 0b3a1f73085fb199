using System.Diagnostics;
using System.Xml.Linq;
using Relay.TestKit;

namespace Relay.Tests.Repository;

/// <summary>The structure tells the architecture; these tests keep it from drifting.</summary>
public sealed class StructureTests
{
    // A new arrow is fine when this table, the code and the reason change in one commit.
    private static readonly Dictionary<string, string[]> s_allowedReferences = new()
    {
        ["Relay.Policy"] = [],
        ["Relay.Protocol"] = [],
        ["Relay.GrainHost"] = [],
        ["Relay.Grains"] = ["Relay.Policy", "Relay.GrainHost"],
        ["Relay.Connector"] = ["Relay.Protocol"],
        ["Relay.Gateway"] = ["Relay.Policy", "Relay.Protocol"],
        ["Relay.Silo"] = ["Relay.Policy", "Relay.Protocol", "Relay.GrainHost", "Relay.Grains"],
        ["Relay.Cli"] = ["Relay.Protocol", "Relay.Connector"],
    };

    // Who may use which package: the gateway faces the internet and must not even be able to reach the store.
    private static readonly Dictionary<string, string[]> s_allowedPackages = new()
    {
        ["Relay.Policy"] = [],
        ["Relay.Protocol"] = [],
        ["Relay.GrainHost"] = [],
        ["Relay.Grains"] = ["Microsoft.Orleans.Sdk"],
        ["Relay.Connector"] = ["YamlDotNet"],
        ["Relay.Gateway"] = [],
        ["Relay.Silo"] =
        [
            "Dapper", "Npgsql", "Microsoft.AspNetCore.OpenApi",
            "Microsoft.Orleans.Sdk", "Microsoft.Orleans.Server", "Microsoft.Orleans.Clustering.AdoNet", "Microsoft.Orleans.Persistence.AdoNet", "Microsoft.Orleans.Connections.Security",
        ],
        ["Relay.Cli"] = ["Spectre.Console", "System.CommandLine"],
    };

    private static readonly HashSet<string> s_topLevel =
    [
        "src", "tests", "bench", "helm", "Relay.sln", "NuGet.config", "Makefile", "README.md",
        ".ci", ".editorconfig", ".gitattributes", ".gitignore",
    ];

    [Fact]
    public void Every_project_references_only_what_the_architecture_allows()
    {
        var found = ProjectFiles("src").ToDictionary(f => Path.GetFileNameWithoutExtension(f), ProjectReferences);
        Assert.Equal(s_allowedReferences.Keys.Order(), found.Keys.Order());
        foreach (var (project, references) in found)
            Assert.True(references.All(r => s_allowedReferences[project].Contains(r)),
                $"{project} references {string.Join(", ", references)}; allowed: {string.Join(", ", s_allowedReferences[project])}");
    }

    [Fact]
    public void Every_project_uses_only_its_own_packages()
    {
        foreach (var file in ProjectFiles("src"))
        {
            var project = Path.GetFileNameWithoutExtension(file);
            var packages = XDocument.Load(file).Descendants("PackageReference").Select(e => (string)e.Attribute("Include")!).ToArray();
            Assert.True(packages.All(p => s_allowedPackages[project].Contains(p)), $"{project} uses {string.Join(", ", packages)}");
        }
    }

    [Fact]
    public void The_packages_of_the_other_grain_host_are_in_no_build_but_its_own()
    {
        foreach (var file in ProjectFiles("src"))
            Assert.All(
                XDocument.Load(file).Descendants("PackageReference").Where(p => ((string)p.Attribute("Include")!).StartsWith("Microsoft.Orleans", StringComparison.Ordinal)),
                p => Assert.Equal("'$(GrainHost)' == 'Orleans'", (string?)p.Attribute("Condition") ?? (string?)p.Parent!.Attribute("Condition")));
    }

    [Fact]
    public void Package_versions_are_exact_and_central()
    {
        var versions = XDocument.Load(Path.Combine(RepositoryRoot.Path, "src/Directory.Packages.props")).Descendants("PackageVersion").ToArray();
        Assert.NotEmpty(versions);
        Assert.All(versions, v => Assert.Matches(@"^\d+(\.\d+){1,3}$", (string)v.Attribute("Version")!));
        foreach (var file in new[] { "src", "tests", "bench" }.SelectMany(ProjectFiles))
            Assert.All(XDocument.Load(file).Descendants("PackageReference"), p => Assert.Null(p.Attribute("Version")));
    }

    [Fact]
    public void The_top_level_holds_only_what_belongs_there()
    {
        var unexpected = TrackedFiles().Select(f => f.Split('/')[0]).Distinct().Where(n => !s_topLevel.Contains(n));
        Assert.Empty(unexpected);
    }

    [Fact]
    public void No_file_is_a_drawer_for_everything()
    {
        string[] drawers = ["Utils", "Util", "Helper", "Helpers", "Common", "Misc", "Manager"];
        var found = TrackedFiles()
            .Where(f => f.StartsWith("src/", StringComparison.Ordinal) && f.EndsWith(".cs", StringComparison.Ordinal))
            .Where(f => drawers.Any(d => Path.GetFileNameWithoutExtension(f).EndsWith(d, StringComparison.Ordinal)));
        Assert.Empty(found);
    }

    [Fact]
    public void Source_files_stay_readable_in_one_sitting()
    {
        var long_ = TrackedFiles()
            .Where(f => f.StartsWith("src/", StringComparison.Ordinal) && f.EndsWith(".cs", StringComparison.Ordinal))
            .Select(f => (File: f, Lines: File.ReadLines(Path.Combine(RepositoryRoot.Path, f)).Count()))
            .Where(f => f.Lines > 600);
        Assert.Empty(long_);
    }

    [Fact]
    public void Nothing_unfinished_is_called_done()
    {
        string[] marks = ["NotImplementedException", "TO" + "DO", "FIX" + "ME"];
        var found = TrackedFiles()
            .Where(f => (f.StartsWith("src/", StringComparison.Ordinal) || f.StartsWith("tests/", StringComparison.Ordinal)) && f.EndsWith(".cs", StringComparison.Ordinal))
            .Where(f => !f.EndsWith("StructureTests.cs", StringComparison.Ordinal))
            .Where(f => marks.Any(m => File.ReadAllText(Path.Combine(RepositoryRoot.Path, f)).Contains(m, StringComparison.Ordinal)));
        Assert.Empty(found);
    }

    // L39: elliptic curves and stream ciphers come from libcrypto; a field element type in the tree would be code of ours.
    [Fact]
    public void There_is_no_field_arithmetic_of_our_own()
    {
        string[] signs = ["FieldElement", "Fe25519", "ge25519", "QuarterRound", "BigInteger.ModPow"];
        var found = TrackedFiles()
            .Where(f => f.StartsWith("src/", StringComparison.Ordinal) && f.EndsWith(".cs", StringComparison.Ordinal))
            .Where(f => signs.Any(s => File.ReadAllText(Path.Combine(RepositoryRoot.Path, f)).Contains(s, StringComparison.OrdinalIgnoreCase)));
        Assert.Empty(found);
    }

    private static string[] ProjectFiles(string folder) =>
        Directory.GetFiles(Path.Combine(RepositoryRoot.Path, folder), "*.csproj", SearchOption.AllDirectories);

    private static string[] ProjectReferences(string file) =>
        [.. XDocument.Load(file).Descendants("ProjectReference").Select(e => Path.GetFileNameWithoutExtension((string)e.Attribute("Include")!))];

    /// <summary>Paths git tracks, relative to the root; tests always run from a checkout.</summary>
    private static string[] TrackedFiles()
    {
        using var git = Process.Start(new ProcessStartInfo("git", ["-c", "safe.directory=*", "-C", RepositoryRoot.Path, "ls-files"]) { RedirectStandardOutput = true })!;
        var files = git.StandardOutput.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        git.WaitForExit();
        Assert.Equal(0, git.ExitCode);
        Assert.NotEmpty(files);
        return [.. files.Where(f => File.Exists(Path.Combine(RepositoryRoot.Path, f)))];
    }
}
