using System.Runtime.CompilerServices;

namespace Relay.TestKit;

/// <summary>Finds the checkout the tests were compiled from.</summary>
public static class RepositoryRoot
{
    /// <summary>Absolute path of the folder that holds Relay.sln.</summary>
    public static string Path { get; } = Find(ThisFile());

    private static string Find(string file)
    {
        for (var directory = new FileInfo(file).Directory; directory is not null; directory = directory.Parent)
            if (File.Exists(System.IO.Path.Combine(directory.FullName, "Relay.sln")))
                return directory.FullName;
        throw new InvalidOperationException($"No Relay.sln above {file}.");
    }

    private static string ThisFile([CallerFilePath] string file = "") => file;
}
