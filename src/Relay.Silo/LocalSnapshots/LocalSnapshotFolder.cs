using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Relay.Silo.Secrets;
using Relay.Silo.Snapshots;
using Relay.Silo.Storage;

namespace Relay.Silo.LocalSnapshots;

/// <summary>
/// The files of a silo's last snapshot: <c>grid</c>, one per organization, and <c>versions</c>, which says whether the others may be
/// used. Each is replaced whole. One writer; reads may come beside it.
/// </summary>
internal sealed class LocalSnapshotFolder(string path, SecretVault vault)
{
    private const string GridFile = "grid";
    private const string VersionsFile = "versions";
    private const string Extension = ".org";

    /// <exception cref="IOException">No space, or the folder is gone.</exception>
    public Task WriteAsync(LocalGrid grid) => WriteAsync(GridFile, grid, LocalSnapshotJson.Default.LocalGrid);

    /// <exception cref="IOException">As above.</exception>
    public Task WriteAsync(LocalVersions versions) => WriteAsync(VersionsFile, versions, LocalSnapshotJson.Default.LocalVersions);

    /// <exception cref="IOException">As above.</exception>
    /// <exception cref="InvalidDataException">It is too large.</exception>
    public Task WriteAsync(LocalOrganization organization) =>
        WriteAsync(FileOf(organization.Rows.Head.OrganizationId), organization, LocalSnapshotJson.Default.LocalOrganization);

    /// <summary>The folder says nothing any more: the next start without the store waits for it.</summary>
    /// <exception cref="IOException">It could not be deleted.</exception>
    public void Discard()
    {
        if (!Directory.Exists(path))
            return;
        File.Delete(Path.Combine(path, VersionsFile));
        PrivateFiles.SyncDirectory(path);
    }

    /// <summary>Removes files of organizations that are none of these.</summary>
    public void KeepOnly(IReadOnlyCollection<Guid> organizations)
    {
        var wanted = organizations.Select(FileOf).ToHashSet(StringComparer.Ordinal);
        foreach (var file in Directory.EnumerateFiles(path, "*" + Extension).Where(f => !wanted.Contains(Path.GetFileName(f))).ToArray())
            File.Delete(file);
    }

    /// <summary>Everything, if it is of one piece.</summary>
    /// <exception cref="InvalidDataException">What is wrong, with the file's name.</exception>
    public LocalSnapshot Read()
    {
        var versions = Read(VersionsFile, LocalSnapshotJson.Default.LocalVersions);
        if (versions.Versions is null || versions.RevokedGateways is null)
            throw new InvalidDataException($"{Path.Combine(path, VersionsFile)} does not say what is in force");
        var grid = Read(GridFile, LocalSnapshotJson.Default.LocalGrid);
        var organizations = new List<LocalOrganization>();
        foreach (var (organizationId, version) in versions.Versions)
        {
            var organization = Read(FileOf(organizationId), LocalSnapshotJson.Default.LocalOrganization);
            if (organization.Rows.Head.OrganizationId != organizationId || organization.Stamp != version.Stamp)
                throw new InvalidDataException($"{Path.Combine(path, FileOf(organizationId))} is of version {organization.Rows.Head.Version}, and version {version.Version} was in force already");
            organizations.Add(organization);
        }

        return new LocalSnapshot(grid, organizations, versions.RevokedGateways, versions.ConfirmedAt);
    }

    /// <exception cref="InvalidDataException">What is wrong, with the file's name.</exception>
    public SnapshotRows ReadOrganization(Guid organizationId) => Read(FileOf(organizationId), LocalSnapshotJson.Default.LocalOrganization).Rows;

    private static string FileOf(Guid organizationId) => organizationId.ToString("D") + Extension;

    // The name is part of what is sealed: one file cannot stand in for another.
    private static SecretPlace Place(string file) => new("local_snapshot", "file", file);

    private async Task WriteAsync<T>(string file, T content, JsonTypeInfo<T> type)
    {
        PrivateFiles.CreateDirectory(path);
        await PrivateFiles.WriteAsync(Path.Combine(path, file), SealedFile.Seal(vault, Place(file), JsonSerializer.SerializeToUtf8Bytes(content, type)), CancellationToken.None);
    }

    private T Read<T>(string file, JsonTypeInfo<T> type)
        where T : class
    {
        var full = Path.Combine(path, file);
        try
        {
            if (new FileInfo(full).Length > SealedFile.MaxFileBytes)
                throw new InvalidDataException("it is larger than a snapshot can be");
            using var json = SealedFile.Open(vault, Place(file), File.ReadAllBytes(full));
            return JsonSerializer.Deserialize(json, type) ?? throw new InvalidDataException("it is empty");
        }
        catch (Exception e) when (e is InvalidDataException or IOException or UnauthorizedAccessException or JsonException)
        {
            throw new InvalidDataException(e is FileNotFoundException or DirectoryNotFoundException ? $"there is no {full}" : $"{full} cannot be used: {e.Message}", e);
        }
    }
}
